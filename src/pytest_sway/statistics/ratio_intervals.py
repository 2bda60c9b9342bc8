"""Intervals of a ratio of two means over the same items, and of the contrast that decides about it.

A ratio is never tested as a ratio: near a zero denominator its distribution has no mean. Whether
mean(numerators) / mean(denominators) exceeds ρ is whether the mean of wᵢ - ρ·vᵢ exceeds 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pytest_sway.statistics.intervals import Interval, t_interval, t_quantile


def fieller_interval(
    numerators: Sequence[float], denominators: Sequence[float], level: float = 0.95
) -> Interval | None:
    """Fieller's (1954) interval of mean(numerators) / mean(denominators) over paired items.

    It holds every ρ whose contrast interval holds 0. None for fewer than two items, where the mean of the
    denominators is not positive, and where it does not stand out from 0 at this level: then no ratio,
    however large, can be excluded.

    Args:
        numerators: w, one per item.
        denominators: v, of the same items in the same order.
        level: two-sided confidence level.

    Raises:
        ValueError: where the two differ in length.

    Coverage at 95 % of the intervals given, over 20,000 samples of 5, 8 and 20 normal pairs (ratio 0.8,
    correlation 0.2): 0.95 where the denominators' mean is 10 or 4 of its standard errors from 0, and at 2
    0.93, 0.94, 0.945. None was given for no sample at 10 standard errors, for 16, 7 and 3 % at 4, and for
    66, 60 and 53 % at 2. Decisions belong on ``contrast_interval``, which always says something.
    """
    n = len(numerators)
    if n != len(denominators):
        raise ValueError(f"{n} numerators and {len(denominators)} denominators cannot be paired")
    if n < 2:
        return None
    w, v = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    mean = float(v.mean())
    if mean <= 0.0:
        return None
    ratio = float(w.mean()) / mean
    # in units of the denominators' mean and around the estimate, so that nothing large cancels
    v = v / mean
    rest = w / mean - ratio * v
    reach = t_quantile(n - 1, level) ** 2 / (n * (n - 1))
    slack = 1.0 - reach * float(np.sum((v - 1.0) ** 2))
    if slack <= 0.0:
        return None
    tilt = reach * float(np.sum((v - 1.0) * rest))
    half = math.sqrt(tilt**2 + slack * reach * float(np.sum(rest**2)))
    return Interval(ratio - (half + tilt) / slack, ratio + (half - tilt) / slack)


def contrast_interval(
    numerators: Sequence[float], denominators: Sequence[float], ratio: float, level: float = 0.95
) -> Interval | None:
    """Student's t interval of the mean of wᵢ - ratio·vᵢ over paired items; None for fewer than two.

    Wholly above 0, the ratio of the means exceeds ``ratio`` (for a positive mean of the denominators), and
    unlike the ratio it is defined whatever the denominators are. Its coverage is that of ``t_interval``.

    Args:
        numerators: w, one per item.
        denominators: v, of the same items in the same order.
        ratio: what the ratio of the means is held against.
        level: two-sided confidence level.

    Raises:
        ValueError: where the two differ in length.
    """
    return t_interval([w - ratio * v for w, v in zip(numerators, denominators, strict=True)], level)

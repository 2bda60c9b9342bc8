"""Intervals over items (prompts, cases, dialogues): how far the number would move on others.

Each states its measured coverage; `tests/statistics/test_intervals.py` repeats the simulations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

SMALL_SAMPLE = 8
"""Fewer skewed items than this carry the word "approximate"."""


@dataclass(frozen=True)
class Interval:
    """A two-sided interval, and whether its coverage is only roughly the nominal one."""

    low: float
    high: float
    approximate: bool = False

    def shifted(self, by: float) -> Interval:
        """The interval of the same number with a constant added."""
        return Interval(self.low + by, self.high + by, self.approximate)


def t_interval(samples: Sequence[float], level: float = 0.95) -> Interval | None:
    """Student's t interval of the mean of signed samples; None for fewer than two.

    Coverage at 95 %: exact for normal samples, whatever their number.
    """
    n = len(samples)
    if n < 2:
        return None
    values = np.asarray(samples, dtype=np.float64)
    half = _t_quantile(n - 1, level) * float(values.std(ddof=1)) / math.sqrt(n)
    mean = float(values.mean())
    return Interval(mean - half, mean + half)


def positive_interval(
    samples: Sequence[float], level: float = 0.95, seed: int = 0, resamples: int = 2000
) -> Interval | None:
    """Interval of the mean of positive, skewed samples (divergences); None for fewer than two.

    Studentised bootstrap of the log of the mean from 8 items on; below, Student's t on the log of the
    mean by the delta method (se of log m = se/m), marked approximate. A zero mean gives [0, 0].

    Coverage at 95 % over 3,000 log-normal samples: log-sd 0.5: 0.94, 0.93, 0.93 at n = 4, 8, 20; log-sd 1:
    0.90, 0.89, 0.91 (Efron & Tibshirani 1993, ch. 12; percentile and BCa give 0.75 at n = 4).
    """
    n = len(samples)
    if n < 2:
        return None
    values = np.asarray(samples, dtype=np.float64)
    mean = float(values.mean())
    if mean <= 0.0:
        return Interval(0.0, 0.0, approximate=n < SMALL_SAMPLE)
    error = float(values.std(ddof=1)) / math.sqrt(n) / mean
    if n < SMALL_SAMPLE:
        half = _t_quantile(n - 1, level) * error
        return Interval(mean * math.exp(-half), mean * math.exp(half), approximate=True)
    if error == 0.0:
        return Interval(mean, mean)
    low, high = _studentised_quantiles(values, level, seed, resamples)
    return Interval(mean * math.exp(-high * error), mean * math.exp(-low * error))


def jackknife_interval(
    items: int, estimate: Callable[[Sequence[int]], float | None], level: float = 0.95
) -> Interval | None:
    """Student's t interval of a smooth functional of items, over Tukey's pseudo-values.

    Args:
        items: number of items; None is returned for fewer than three.
        estimate: the functional on a subset of item indices, None where it is undefined.
        level: two-sided confidence level.

    Coverage at 95 % for the exponent of a divergence curve over 4, 6, 12 prompts (1,500 samples): 0.92, 0.92,
    0.93; the percentile bootstrap's is 0.77, 0.83, 0.88 (Tukey 1958; Efron & Tibshirani 1993, ch. 11).
    """
    if items < 3:
        return None
    whole = estimate(range(items))
    parts = [estimate([j for j in range(items) if j != i]) for i in range(items)]
    if whole is None or any(part is None for part in parts):
        return None
    return t_interval([items * whole - (items - 1) * part for part in parts if part is not None], level)


def _studentised_quantiles(
    values: np.ndarray, level: float, seed: int, resamples: int
) -> tuple[float, float]:
    n = len(values)
    drawn = values[np.random.default_rng(seed).integers(0, n, size=(resamples, n))]
    means = drawn.mean(axis=1)
    kept = means > 0
    means = means[kept]
    errors = drawn[kept].std(axis=1, ddof=1) / math.sqrt(n) / means
    kept = errors > 0
    pivots = np.log(means[kept] / values.mean()) / errors[kept]
    tail = (1 - level) / 2
    low, high = np.quantile(pivots, [tail, 1 - tail])
    return float(low), float(high)


def _t_quantile(df: int, level: float) -> float:
    return float(stdtrit(df, 0.5 + level / 2))

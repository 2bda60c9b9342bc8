"""The mean of paired differences and its interval, in plain Python: the session's process has no numpy.

Student's t interval (1908) of the differences. Its coverage is that of
:func:`pytest_sway.statistics.intervals.t_interval`: exact for normal differences, 0.94 to 0.97 for
moderate skew or heavy tails, 0.88 to 0.93 for a skewness of 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_HALVINGS = 60
"""Halvings of [0, π/2]: past the last bit of a double."""


def paired_interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Two-sided interval of the mean of paired differences; None for fewer than two.

    Args:
        differences: one per pair, in the unit of what was measured.
        level: confidence level, strictly between 0 and 1.

    Raises:
        ValueError: for a level outside (0, 1).
    """
    n = len(differences)
    if n < 2:
        return None
    mean = math.fsum(differences) / n
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    half = t_quantile(n - 1, level) * math.sqrt(variance / n)
    return mean - half, mean + half


def t_quantile(df: int, level: float) -> float:
    """How many standard errors a two-sided interval of Student's t reaches to either side.

    Args:
        df: whole degrees of freedom, at least 1.
        level: confidence level, strictly between 0 and 1.

    Raises:
        ValueError: for a level outside (0, 1), or no degree of freedom.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level} is not between 0 and 1")
    if df < 1:
        raise ValueError(f"degrees of freedom must be at least 1, not {df}")
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _central_probability(middle, df) < level:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan((low + high) / 2)


def _central_probability(angle: float, df: int) -> float:
    """P(|T| ≤ √df · tan(angle)): the finite series of Abramowitz & Stegun 26.7.3 (odd df) and 26.7.4."""
    cosine = math.cos(angle)
    odd = df % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1, df // 2 + 1):
        total += term
        term *= cosine**2 * (2 * k - 1 + odd) / (2 * k + odd)
    series = math.sin(angle) * total
    return (angle + series) * 2 / math.pi if odd else series

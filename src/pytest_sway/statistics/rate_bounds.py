"""Bounds of a rate, exact and in plain Python: the session's process imports neither numpy nor scipy.

A bound is the rate at which a binomial tail holds exactly 1 - level (Clopper & Pearson 1934), found by
bisection. Its coverage is never below its level, whatever the rate.
"""

from __future__ import annotations

import math
from itertools import accumulate

_HALVINGS = 60
"""Halvings of [0, 1]: past the last bit of a double near 1."""


def upper_bound(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided upper bound of a rate: P(at most ``hits`` of ``n``) = 1 - level there.

    Args:
        hits: how many of the ``n`` items hit; none gives 1 - (1 - level)^(1/n), all give 1.
        n: at least 1.
        level: one-sided confidence level, strictly between 0 and 1.

    Raises:
        ValueError: for counts that are no rate, and a level outside (0, 1).
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits} of {n} is not a valid rate")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level {level} is not between 0 and 1")
    if hits == n:
        return 1.0
    if hits == 0:
        return -math.expm1(math.log1p(-level) / n)
    weights = _log_binomials(hits, n)
    low, high = hits / n, 1.0
    if _lower_tail(weights, n, low) < 1 - level:
        low, high = 0.0, low  # a level so low that the bound lies under the observed rate
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _lower_tail(weights, n, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def lower_bound(hits: int, n: int, level: float = 0.95) -> float:
    """One-sided lower bound of a rate: 1 minus the upper bound of the misses' rate."""
    return 1.0 - upper_bound(n - hits, n, level)


def _log_binomials(hits: int, n: int) -> list[float]:
    """Logarithms of C(n, i) for i = 0 … hits, from the exact integers."""
    steps = range(1, hits + 1)
    return [math.log(c) for c in accumulate(steps, lambda c, i: c * (n - i + 1) // i, initial=1)]


def _lower_tail(weights: list[float], n: int, rate: float) -> float:
    """P(X ≤ hits) for X binomial, summed from its logarithms so that no term under- or overflows."""
    log_hit, log_miss = math.log(rate), math.log1p(-rate)
    return math.fsum(math.exp(w + i * log_hit + (n - i) * log_miss) for i, w in enumerate(weights))

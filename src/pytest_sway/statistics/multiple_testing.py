"""p-values adjusted for having tested several hypotheses at once.

Plain Python: the session's process, which sees all probes, imports neither numpy nor scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in input order.

    Rejecting those at or below α keeps the chance of even one false rejection at α, however the p-values
    depend on each other: probes that share their null draws may be judged together.

    The i-th smallest of m becomes the largest of (m - j + 1)·pⱼ over j ≤ i, at most 1.

    Raises:
        ValueError: where a p-value is outside [0, 1] or not a number.
    """
    order = _ascending_order(p_values)
    m = len(order)
    scaled = [min(1.0, (m - rank) * p_values[i]) for rank, i in enumerate(order)]
    return _in_input_order(order, list(accumulate(scaled, max)))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg's (1995) adjusted p-values, in input order.

    Rejecting those at or below α keeps the expected share of false rejections among all at α, for p-values
    that are independent or depend on each other positively.

    The i-th smallest of m becomes the smallest of m/j·pⱼ over j ≥ i.

    Raises:
        ValueError: where a p-value is outside [0, 1] or not a number.
    """
    order = _ascending_order(p_values)
    m = len(order)
    scaled = [p_values[i] * m / (rank + 1) for rank, i in enumerate(order)]
    return _in_input_order(order, list(accumulate(reversed(scaled), min))[::-1])


def _ascending_order(p_values: Sequence[float]) -> list[int]:
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{p} is no p-value")
    return sorted(range(len(p_values)), key=p_values.__getitem__)


def _in_input_order(order: list[int], values: list[float]) -> list[float]:
    by_index = dict(zip(order, values, strict=True))
    return [by_index[i] for i in range(len(order))]

"""How texts become rows and rows become batches: shared beginnings once, little padding, a budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from pytest_sway.rows import Row, Text

LEAST_SHARED = 16
"""Shorter beginnings are not worth a mask of their own."""


class Budget(NamedTuple):
    """What one batch may hold, and what a further batch costs.

    Attributes:
        tokens: most tokens, padding included.
        positions: most positions whose distributions are held.
        overhead: cost of one more batch, in tokens: cutting is worth less padding than that.
    """

    tokens: int
    positions: int
    overhead: int


def merged(texts: Sequence[Text], most_tokens: int) -> list[Row]:
    """Rows for ``texts``: those with a long common beginning stand in one row.

    A text joins its neighbour (in the order of their tokens) where that saves a quarter of the row's
    tokens or more.
    """
    rows: list[Row] = []
    group: list[Text] = []
    shared = 0
    for text in sorted(texts, key=lambda t: (t.ids, t.first)):
        common = _common(group[-1].ids, text.ids) if group else 0
        joined = min(shared, common) if len(group) > 1 else common
        if group and _worth(joined, [*group, text], most_tokens):
            group, shared = [*group, text], joined
            continue
        if group:
            rows.append(_row(group, shared))
        group, shared = [text], 0
    return [*rows, _row(group, shared)] if group else rows


def batches(rows: Sequence[Row], held: Sequence[int], budget: Budget, extra: int = 0) -> list[list[int]]:
    """Indices of ``rows``, cut into batches of like length.

    Over the rows sorted by length, the cuts that minimise padded tokens + ``overhead`` per batch
    (dynamic programming; every batch within the budget unless it is a single row).

    Args:
        rows: of one kind: all plain, or all with shared beginnings.
        held: positions that each row holds.
        budget: limits of a batch.
        extra: tokens that every row will grow by.
    """
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].length, rows[i].texts[0].ids))
    lengths = [rows[i].length + extra for i in order]
    best = [0.0] + [float("inf")] * len(order)
    cut = [0] * (len(order) + 1)
    for start, longest in enumerate(lengths):
        positions = 0
        for end in range(start, len(order)):
            count = end - start + 1
            positions += held[order[end]]
            if count > 1 and (count * longest > budget.tokens or positions > budget.positions):
                break
            cost = best[start] + count * longest + budget.overhead
            if cost < best[end + 1]:
                best[end + 1], cut[end + 1] = cost, start
    parts: list[list[int]] = []
    end = len(order)
    while end:
        parts.append(order[cut[end] : end])
        end = cut[end]
    return parts[::-1]


def _row(group: Sequence[Text], shared: int) -> Row:
    return Row(tuple(group), shared if len(group) > 1 else 0)


def _worth(shared: int, group: Sequence[Text], most_tokens: int) -> bool:
    apart = sum(len(text.ids) for text in group)
    saved = shared * (len(group) - 1)
    return shared >= LEAST_SHARED and 4 * saved >= apart and apart - saved <= most_tokens


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))

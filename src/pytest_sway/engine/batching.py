"""How texts become rows and rows become batches: common prefixes once, little padding, a budget."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from pytest_sway.token_sequences import PackedRow, TokenSequence

LEAST_SHARED = 16
"""Shorter beginnings are not worth a mask of their own."""
SHORT, FILLED = 32, 128
"""Texts up to the one length stand side by side in rows of about the other: hardly any padding is left, and
in rows so short attention across texts, which the mask throws away, costs nothing to speak of."""


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


def pack_rows(held: Mapping[TokenSequence, int], budget: Budget) -> list[PackedRow]:
    """Rows for texts: those with a long common prefix stand in one row, and so do short ones.

    A text joins its neighbour (in the order of their tokens) where that saves a quarter of the row's
    tokens or more. Short texts that share no prefix are put side by side.

    Args:
        held: texts, each with the positions that it holds.
        budget: of a row that holds several.
    """
    rows = _rows_with_shared_prefix(held, budget)
    short = [row.texts[0] for row in rows if _is_short(row)]
    long = [row for row in rows if not _is_short(row)]
    return long + _rows_of_short_texts(short, min(FILLED, budget.tokens))


def _is_short(row: PackedRow) -> bool:
    return len(row.texts) == 1 and row.length <= SHORT


def _rows_of_short_texts(texts: Sequence[TokenSequence], length: int) -> list[PackedRow]:
    """Rows of about ``length`` tokens, and of like length: the longest text first, into the emptiest row."""
    count = min(len(texts), -(-sum(len(text.ids) for text in texts) // length))
    filled = [(0, index) for index in range(count)]
    bins: list[list[TokenSequence]] = [[] for _ in filled]
    for text in sorted(texts, key=lambda t: (-len(t.ids), t.ids, t.first)):
        used, index = heapq.heappop(filled)
        bins[index].append(text)
        heapq.heappush(filled, (used + len(text.ids), index))
    return [PackedRow(tuple(group)) for group in bins]


def _rows_with_shared_prefix(held: Mapping[TokenSequence, int], budget: Budget) -> list[PackedRow]:
    rows: list[PackedRow] = []
    group: list[TokenSequence] = []
    shared = 0
    for text in sorted(held, key=lambda t: (t.ids, t.first)):
        common = _common_prefix(group[-1].ids, text.ids) if group else 0
        joined = min(shared, common) if len(group) > 1 else common
        waiting = sum(held[one] for one in (*group, text))
        if group and waiting <= budget.positions and _saves_enough(joined, [*group, text], budget.tokens):
            group, shared = [*group, text], joined
            continue
        if group:
            rows.append(_row(group, shared))
        group, shared = [text], 0
    return [*rows, _row(group, shared)] if group else rows


def batches(
    rows: Sequence[PackedRow], held: Sequence[int], budget: Budget, extra: int = 0
) -> list[list[int]]:
    """Indices of ``rows``, cut into batches of like length.

    Over the rows sorted by length, the cuts that minimise padded tokens + ``overhead`` per batch
    (dynamic programming; every batch within the budget unless it is a single row).

    Args:
        rows: of one kind: all of one text, or all of several.
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


def _row(group: Sequence[TokenSequence], shared: int) -> PackedRow:
    return PackedRow(tuple(group), shared if len(group) > 1 else 0)


def _saves_enough(shared: int, group: Sequence[TokenSequence], most_tokens: int) -> bool:
    apart = sum(len(text.ids) for text in group)
    saved = shared * (len(group) - 1)
    return shared >= LEAST_SHARED and 4 * saved >= apart and apart - saved <= most_tokens


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))

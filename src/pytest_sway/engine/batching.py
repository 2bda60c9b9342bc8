"""How texts become rows and rows become batches: common prefixes once, little padding, a budget."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pytest_sway.token_sequences import PackedRow, TokenSequence, common_prefix

SHORT, FILLED = 32, 128
"""Rows up to the one length stand side by side in rows of about the other: hardly any padding is left, and
in rows so short attention across texts, which the mask throws away, costs nothing to speak of."""
ATTENTION = 2048
"""In a masked row of so many tokens attention costs about as much as everything else: measured in a model of
135 million parameters on a CPU; in larger ones attention weighs less."""
BRANCHES = 16
"""Cost, in tokens, of a row's having branches: a mask, and a length of its own, so padding."""


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


def pack_rows(held: Mapping[TokenSequence, int], budget: Budget, *, branches: bool) -> list[PackedRow]:
    """Rows for texts: those that begin alike stand in one row, as a tree, and so do short ones.

    Args:
        held: texts, each with the positions that it holds.
        budget: of a row that holds several.
        branches: whether a row may have branches; else a row is one text and what begins it.
    """
    texts = sorted(held, key=lambda t: (t.ids, t.first))
    rows = _cheapest_rows(texts, [held[text] for text in texts], budget, branches=branches)
    if not branches:
        return rows
    short = [row for row in rows if row.length <= SHORT]
    long = [row for row in rows if row.length > SHORT]
    return long + _side_by_side(short, min(FILLED, budget.tokens))


def _side_by_side(rows: Sequence[PackedRow], length: int) -> list[PackedRow]:
    """Rows of about ``length`` tokens, and of like length: the longest row first, into the emptiest."""
    count = min(len(rows), -(-sum(row.length for row in rows) // length))
    filled = [(0, index) for index in range(count)]
    bins: list[list[TokenSequence]] = [[] for _ in filled]
    for row in sorted(rows, key=lambda row: (-row.length, row.texts[0].ids, row.texts[0].first)):
        used, index = heapq.heappop(filled)
        bins[index].extend(row.texts)
        heapq.heappush(filled, (used + row.length, index))
    return [PackedRow(tuple(sorted(texts, key=lambda t: (t.ids, t.first)))) for texts in bins]


def _cheapest_rows(
    texts: Sequence[TokenSequence], held: Sequence[int], budget: Budget, *, branches: bool
) -> list[PackedRow]:
    """The sorted texts, cut into rows so that tokens and attention cost the least (dynamic programming)."""
    common = [0, *(common_prefix(a.ids, b.ids) for a, b in pairwise(texts))]
    best = [0.0] + [float("inf")] * len(texts)
    cut = [0] * (len(texts) + 1)
    for start in range(len(texts)):
        positions = 0
        for end, length, has_branches in _rows_from(start, texts, common):
            positions += held[end]
            if end > start and (
                length > budget.tokens or positions > budget.positions or (has_branches and not branches)
            ):
                break
            cost = best[start] + _row_cost(length, has_branches=has_branches)
            if cost < best[end + 1]:
                best[end + 1], cut[end + 1] = cost, start
    rows: list[PackedRow] = []
    end = len(texts)
    while end:
        rows.append(PackedRow(tuple(texts[cut[end] : end])))
        end = cut[end]
    return rows[::-1]


def _rows_from(
    start: int, texts: Sequence[TokenSequence], common: Sequence[int]
) -> Iterator[tuple[int, int, bool]]:
    """The rows from one text on: the last text of each, its length, and whether it has branches.

    They end where a row is dearer than its two parts about a text that shares little with the one before it:
    the longer the row, the more that cut saves.
    """
    length = longest = left = 0
    least = len(texts[start].ids)
    for end in range(start, len(texts)):
        shared = common[end] if end > start else 0
        worth_a_cut = ATTENTION * (shared + BRANCHES)
        if end > start and (shared < least or (shared == least and length * length < worth_a_cut)):
            least, left = shared, length
        length += len(texts[end].ids) - shared
        longest = max(longest, len(texts[end].ids))
        if 2 * (left - least) * (length - left) > ATTENTION * (least + BRANCHES) + least * least:
            return
        yield end, length, length > longest


def _row_cost(length: int, *, has_branches: bool) -> float:
    """In tokens; with a mask all pairs of tokens are looked at, without one half of them."""
    attention = length * length / ATTENTION
    return length + attention + BRANCHES if has_branches else length + attention / 2


def batches(
    rows: Sequence[PackedRow], held: Sequence[int], budget: Budget, extra: int = 0
) -> list[list[int]]:
    """Indices of ``rows``, cut into batches of like length.

    Over the rows sorted by length, the cuts that minimise padded tokens + ``overhead`` per batch
    (dynamic programming; every batch within the budget unless it is a single row).

    Args:
        rows: of one kind: all with branches, or all without.
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

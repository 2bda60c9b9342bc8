"""Texts become rows: each distinct prefix once, no row dearer than apart, the same rows every time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.engine.batching import (
    ATTENTION,
    BRANCHES,
    FILLED,
    SHORT,
    Budget,
    _rows_from,
    pack_rows,
)
from pytest_sway.token_sequences import (
    LEAST_PREFIX,
    PackedRow,
    TokenSequence,
    common_prefix,
    prefix_of_prompts,
)

WIDE = Budget(4096, 10**9, 0)


def distinct_prefixes(texts: Sequence[TokenSequence]) -> int:
    return len({text.ids[:n] for text in texts for n in range(1, len(text.ids) + 1)})


def in_order(texts: Sequence[TokenSequence]) -> tuple[TokenSequence, ...]:
    return tuple(sorted(texts, key=lambda t: (t.ids, t.first)))


@st.composite
def tries(draw: st.DrawFn, *, most: int = 12, longest: int = 40) -> list[TokenSequence]:
    """Distinct texts, each a beginning of an earlier one and tokens of its own."""
    texts: list[tuple[int, ...]] = []
    for _ in range(draw(st.integers(1, most))):
        before = draw(st.sampled_from(texts)) if texts else ()
        kept = before[: draw(st.integers(0, len(before)))]
        count = draw(st.integers(0 if kept else 1, longest))
        texts.append((*kept, *draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))))
    return [TokenSequence(ids, draw(st.integers(0, len(ids) - 1))) for ids in dict.fromkeys(texts)]


@given(tries())
def test_a_row_is_as_long_as_its_texts_have_distinct_prefixes(texts: list[TokenSequence]) -> None:
    row = PackedRow(in_order(texts))
    assert row.length == distinct_prefixes(texts)
    whole = max(texts, key=lambda text: len(text.ids)).ids
    assert row.has_branches == any(whole[: len(text.ids)] != text.ids for text in texts)
    assert row.shared[0] == 0
    assert all(a.ids[:n] == b.ids[:n] for (a, b), n in zip(pairwise(row.texts), row.shared[1:], strict=True))


@given(tries(most=30), st.booleans(), st.integers(2, 40), st.randoms(use_true_random=False))
def test_every_text_stands_in_one_row_and_always_in_the_same(
    texts: list[TokenSequence], branches: bool, positions: int, order: random.Random
) -> None:
    budget = Budget(200, positions, 0)
    rows = pack_rows(dict.fromkeys(texts, 2), budget, branches=branches)
    assert Counter(text for row in rows for text in row.texts) == Counter(texts)
    for row in rows:
        assert row.texts == in_order(row.texts)
        assert row.length == distinct_prefixes(row.texts)
        assert len(row.texts) == 1 or row.length <= 200
        assert branches or not row.has_branches
        assert len(row.texts) == 1 or 2 * len(row.texts) <= positions or row.length <= FILLED + SHORT
    shuffled = list(texts)
    order.shuffle(shuffled)
    assert pack_rows(dict.fromkeys(shuffled, 2), budget, branches=branches) == rows


def cost(rows: Sequence[PackedRow]) -> float:
    """Tokens, and attention over all pairs that a masked row looks at, or half of a plain one's."""
    pairs = sum(row.length**2 * (1 if row.has_branches else 0.5) for row in rows)
    return sum(row.length + BRANCHES * row.has_branches for row in rows) + pairs / ATTENTION


@given(tries(most=7, longest=400))
def test_no_other_cut_of_the_sorted_texts_costs_less(texts: list[TokenSequence]) -> None:
    ordered = in_order(text for text in texts if len(text.ids) > SHORT)  # shorter ones go side by side
    if not ordered:
        return
    cuts = [
        (0, *inner, len(ordered))
        for n in range(len(ordered))
        for inner in combinations(range(1, len(ordered)), n)
    ]
    cheapest = min(cost([PackedRow(ordered[a:b]) for a, b in pairwise(cut)]) for cut in cuts)
    assert cost(pack_rows(dict.fromkeys(ordered, 0), WIDE, branches=True)) == pytest.approx(cheapest)


@pytest.mark.parametrize("prefix", [0, 1, 30])
def test_the_rows_that_are_tried_do_not_grow_with_the_number_of_texts(prefix: int) -> None:
    texts = in_order([TokenSequence((*range(prefix), 100 + n, *range(15)), 0) for n in range(1000)])
    common = [0, *(common_prefix(a.ids, b.ids) for a, b in pairwise(texts))]
    tried = [sum(1 for _ in _rows_from(start, texts, common)) for start in (0, 300, 600)]
    assert max(tried) <= 40


def test_long_rows_stay_short_enough_for_attention() -> None:
    """Two hundred short questions behind one system prompt: some rows repeat it."""
    texts = [TokenSequence((*range(30), 100 + n, *range(20)), 30) for n in range(200)]
    rows = pack_rows(dict.fromkeys(texts, 0), WIDE, branches=True)
    assert 200 < max(row.length for row in rows) < 512
    assert sum(row.length for row in rows) < 0.6 * sum(len(text.ids) for text in texts)


def test_a_long_prefix_is_shared_however_long_the_row_becomes() -> None:
    texts = [TokenSequence((*range(1000), 2000 + n, *range(15)), 1000) for n in range(12)]
    (row,) = pack_rows(dict.fromkeys(texts, 0), WIDE, branches=True)
    assert row.length == 1000 + 12 * 16


def test_texts_that_begin_unlike_each_other_are_not_joined() -> None:
    texts = [TokenSequence((n, *range(60)), 1) for n in range(40)]
    assert {len(row.texts) for row in pack_rows(dict.fromkeys(texts, 0), WIDE, branches=True)} == {1}


@given(st.lists(st.integers(1, SHORT), min_size=1, max_size=60))
def test_short_texts_stand_side_by_side(lengths: list[int]) -> None:
    texts = [TokenSequence((1000 + n, *range(length - 1)), 0) for n, length in enumerate(lengths)]
    rows = pack_rows(dict.fromkeys(texts, 0), WIDE, branches=True)
    assert len(rows) == -(-sum(lengths) // FILLED)
    assert max(row.length for row in rows) - min(row.length for row in rows) <= SHORT


@given(
    st.lists(st.integers(0, 3), max_size=LEAST_PREFIX + 4),
    st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_the_prefix_of_prompts_is_all_they_have_in_common(
    begin: list[int], ends: list[list[int]], views: int
) -> None:
    prompts = [[*begin, *end, 9] for end in ends]
    shared = next((k for k, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1), None)
    most = min(map(len, prompts)) - 1
    expected = most if shared is None else min(shared, most)
    saves = expected >= LEAST_PREFIX and views < len(prompts)
    assert prefix_of_prompts(prompts, views) == (expected if saves else 0)

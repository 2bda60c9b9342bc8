"""The planner over a small numpy model: right numbers, few forwards, no row alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from pytest_sway.backends.base import AdapterKey, BackendError, Subject, WeightsBackend
from pytest_sway.engine.batching import Budget, batches
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.planner import Planner
from pytest_sway.engine.planner_events import FinishedBatch
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Prompt,
    Request,
    RequestError,
    View,
)
from pytest_sway.statistics.divergences import jensen_shannon
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.planner_answers import planner_answers

BASE, TUNED, OTHER = View("b"), View("b", "a"), View("b", "a", scale=0.5)
V = 11


class Toy(WeightsBackend):
    """A bigram model: a view's distributions depend on the last token alone. One letter, one token."""

    xp, vocabulary, epsilon = np, V, 1e-7
    overhead_tokens = 4
    capabilities = frozenset()

    def __init__(
        self,
        *,
        shares: bool = False,
        capacity: int = 10**9,
        token_bytes: int = 1,
        cache_bytes: int = 0,
        views_per_batch: int = 1,
    ) -> None:
        self.context = 12
        self.cache_bytes = cache_bytes
        self.views_per_batch = views_per_batch
        self.continued: list[list[View]] = []
        self.shapes: list[tuple[View, int, int]] = []
        self.tokens = 0
        self.packs_rows, self.capacity, self.token_bytes = shares, capacity, token_bytes

    def attach(self, adapter: AdapterKey) -> Subject:
        raise BackendError("a toy has no adapter")

    def table(self, view: View) -> np.ndarray:
        strength = 0.0 if view.is_base else view.scale
        rng = np.random.default_rng(3)
        base, update = rng.normal(size=(V, V)), rng.normal(size=(V, V))
        return np.asarray(log_softmax(base + strength * update, axis=-1))

    def encode(self, prompt: Prompt) -> list[int]:
        return [ord(c) % V for c in str(prompt)]

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        if not completion:
            raise RequestError("nothing to score")
        return self.encode(str(prompt) + completion), max(1, len(self.encode(prompt)))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(97 + i) for i in ids)

    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterator[tuple[TokenSequence, int, Any]]:
        if view.scale == 99:
            raise RequestError("this view is broken")
        longest = max(row.length for row in rows)
        if len(rows) * longest > self.capacity:
            raise MemoryError(f"{len(rows) * longest} tokens")
        self.shapes.append((view, len(rows), longest))
        self.tokens += sum(row.length for row in rows)
        table = self.table(view)
        for row in rows:
            assert self.packs_rows or not row.has_branches
            for text in row.texts:
                for start in range(0, text.positions, most):
                    yield text, start, table[list(text.ids[text.first + start : text.first + start + most])]

    def memory_guard(self) -> AbstractContextManager[None]:
        return nullcontext()

    def generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        if any(view.scale == 99 for view in views):
            raise RequestError("this view is broken")
        if len(rows) * (max(map(len, rows)) + max_new_tokens) > self.capacity:
            raise MemoryError("too many")
        distinct = set(views)
        assert len(distinct) <= self.views_per_batch
        self.continued.append(list(views))
        self.shapes.append((views[0], len(rows), max(map(len, rows))))
        written = []
        for row, view in zip(rows, views, strict=True):
            table = self.table(view)
            out = [row[-1]]
            for _ in range(max_new_tokens):
                out.append(int(table[out[-1]].argmax()))
            written.append(tuple(out[1:]))
        return written


prompts = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=12)


@given(prompts, st.lists(st.integers(0, V - 1), max_size=4))
def test_a_divergence_is_the_mean_over_its_positions(texts: list[str], tail: list[int]) -> None:
    toy = Toy()
    asked = [Divergence(t, BASE, TUNED, "js", tuple(tail)) for t in dict.fromkeys(texts)]
    answers = planner_answers(Planner(toy), asked)
    for request in asked:
        ids = [toy.encode(request.prompt)[-1], *tail]
        expected = jensen_shannon(np, toy.table(BASE)[ids], toy.table(TUNED)[ids]).mean()
        assert answers[request] == pytest.approx(expected, abs=1e-12)


@given(st.text("abc", max_size=4), st.text("abc", min_size=1, max_size=5))
def test_a_completion_is_the_sum_over_its_tokens(prompt: str, completion: str) -> None:
    toy = Toy()
    request = Completion(prompt, completion, TUNED)
    if len(prompt + completion) < 2:
        return
    ids, first = toy.encode_pair(prompt, completion)
    expected = sum(toy.table(TUNED)[ids[i - 1], ids[i]] for i in range(first, len(ids)))
    found = planner_answers(Planner(toy), [request])[request]
    assert isinstance(found, CompletionScore)
    assert found.logprob == pytest.approx(expected)
    assert found.tokens == len(ids) - first


def test_the_base_is_run_once_for_all_its_views() -> None:
    toy = Toy()
    planner_answers(Planner(toy), [Divergence("abc", BASE, v) for v in (TUNED, OTHER)])
    assert [view for view, _, _ in toy.shapes] == [BASE, TUNED, OTHER]


def test_base_and_views_meet_in_the_same_shape() -> None:
    toy = Toy()
    asked = [Divergence("b" + "a" * n + "b", BASE, v) for n in (0, 1, 7, 8) for v in (TUNED, OTHER)]
    planner_answers(Planner(toy), asked)
    shapes = {view: [s[1:] for s in toy.shapes if s[0] == view] for view in (BASE, TUNED, OTHER)}
    assert shapes[BASE] == shapes[TUNED] == shapes[OTHER] == [(2, 10), (2, 3)]


@settings(max_examples=50)
@given(prompts, st.integers(8, 60), st.integers(1, 5), st.booleans(), st.booleans())
def test_the_budget_changes_the_batches_not_the_answers(
    texts: list[str], budget: int, most: int, shares: bool, alone: bool
) -> None:
    asked: list[Request[Any]] = [Divergence(t, BASE, v, "js", (3, 4)) for t in texts for v in (TUNED, OTHER)]
    asked += [Completion(t, "dcba", TUNED) for t in texts] + [Completion("", t * 9, TUNED) for t in texts]
    asked = list(dict.fromkeys(asked))
    whole = planner_answers(Planner(Toy()), asked)
    toy = Toy(shares=shares)
    small = Planner(toy, memory=2 * budget, batch_invariant=alone)
    small.limits.piece = most
    found = planner_answers(small, asked)
    assert found.keys() == whole.keys()
    for request, answer in whole.items():
        assert _as_floats(found[request]) == pytest.approx(_as_floats(answer), abs=1e-12)
    assert all(rows * longest <= budget or rows == 1 for _, rows, longest in toy.shapes)
    assert all(rows == 1 for _, rows, _ in toy.shapes) or not alone


def _as_floats(answer: Any) -> tuple[float, ...]:
    if isinstance(answer, CompletionScore):
        return (answer.logprob, answer.tokens)
    return (answer,) if isinstance(answer, float) else (0.0, len(str(answer)))


def test_a_common_beginning_is_computed_once() -> None:
    stem = "abcdefgh" * 3
    asked = [Completion(stem, tail, TUNED) for tail in ("hgfe", "dcba", "bbbb")]

    def tokens(shares: bool) -> tuple[int, float]:
        toy = Toy(shares=shares)
        toy.context = 100
        planner = Planner(toy)
        planner_answers(planner, asked)
        return toy.tokens, planner.costs.shared_tokens

    assert tokens(False) == (3 * 27, 0)
    assert tokens(True) == (24 + 3 * 3, 48)


def test_every_common_beginning_is_computed_once() -> None:
    """A system prompt, under it questions, under each several answers."""
    questions = [letter * 8 for letter in "abc"]
    asked = [
        Completion("k" * 30 + question, answer, TUNED)
        for question in questions
        for answer in ("dddd", "ddee", "hh")
    ]
    toy, plain = Toy(shares=True), Toy()
    toy.context = plain.context = 100
    planner = Planner(toy)
    answers = planner_answers(planner, asked)
    assert answers == planner_answers(Planner(plain), asked)
    distinct = 30 + 3 * (8 + len("ddd") + len("e") + len("h"))  # no text's last letter is read
    assert toy.tokens == distinct
    assert planner.costs.shared_tokens == plain.tokens - distinct


def test_where_every_text_is_scored_by_itself_nothing_is_shared() -> None:
    toy = Toy(shares=True)
    toy.context = 100
    asked = [Completion("k" * 30, answer, TUNED) for answer in ("d", "dd", "ddd", "ed")]
    planner = Planner(toy, batch_invariant=True)
    planner_answers(planner, asked)
    assert [shape[1:] for shape in toy.shapes] == [(1, 30), (1, 31), (1, 32), (1, 31)]
    assert planner.costs.shared_tokens == 0


def test_a_row_beyond_the_memory_is_halved_until_it_fits() -> None:
    """Half the texts of a row are a row again, of what these share."""
    short = [Completion(letter * 10, "kkkkk", TUNED) for letter in "abcdefgh"]
    tree = [Completion("k" * 30, letter * 40, TUNED) for letter in "abcd"]
    toy, plain = Toy(shares=True, capacity=100), Toy()
    toy.context = plain.context = 200
    planner = Planner(toy)
    assert planner_answers(planner, short) == planner_answers(Planner(plain), short)
    assert [shape[1:] for shape in toy.shapes] == [(1, 4 * 14)] * 2
    assert planner.costs.halved_batches == 1
    planner.limits.tokens = 4096
    assert planner_answers(planner, tree) == planner_answers(Planner(plain), tree)
    assert planner.costs.halved_batches == 2


def test_short_texts_share_rows_and_leave_little_padding() -> None:
    asked = [Divergence(chr(97 + n % 11) * (4 + n % 9) + chr(97 + n // 11), BASE, TUNED) for n in range(64)]
    toy, plain = Toy(shares=True), Toy()
    toy.context = plain.context = 100
    planner = Planner(toy)
    answers = planner_answers(planner, asked)
    assert answers == planner_answers(Planner(plain), asked)
    assert planner.costs.padding_tokens < 0.05 * planner.costs.tokens
    assert planner.costs.batched_prompts == 2 * len(asked)


def test_a_text_is_scored_once_for_all_who_want_it() -> None:
    toy = Toy()
    planner_answers(Planner(toy), [Divergence("abc", BASE, TUNED, kind) for kind in ("js", "kl")])
    assert toy.tokens == 2 * 3


@given(st.text("abcdefghij", min_size=14, max_size=120), st.integers(2, 12))
def test_a_long_text_is_windowed_and_each_token_scored_once(text: str, context: int) -> None:
    """A bigram model sees one token back, so windows cannot change its numbers."""
    toy = Toy()
    toy.context = context
    request = Completion("", text, TUNED)
    ids = toy.encode(text)
    found = planner_answers(Planner(toy), [request])[request]
    assert found.tokens == len(ids) - 1
    assert found.logprob == pytest.approx(sum(toy.table(TUNED)[a, b] for a, b in pairwise(ids)))
    assert all(longest <= context for _, _, longest in toy.shapes)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(20, 400), st.integers(0, 100))
def test_batches_waste_no_more_than_any_other_cut(lengths: list[int], most: int, overhead: int) -> None:
    """Every row once, each batch within the budget, and no dearer than one batch per row or greedy ones."""
    rows = [PackedRow((TokenSequence(tuple(range(n)), n - 1),)) for n in lengths]
    parts = batches(rows, [1] * len(rows), Budget(most, 10**9, overhead))
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))

    def cost(parts: list[list[int]]) -> int:
        return sum(len(part) * max(lengths[i] for i in part) + overhead for part in parts)

    greedy: list[list[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: -lengths[i]):
        if greedy and (len(greedy[-1]) + 1) * lengths[greedy[-1][0]] <= most:
            greedy[-1].append(i)
        else:
            greedy.append([i])
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= most for part in parts)
    assert cost(parts) <= min(cost(greedy), cost([[i] for i in range(len(rows))]))


def test_a_batch_beyond_the_memory_is_halved_until_it_fits() -> None:
    asked: list[Request[Any]] = [
        Divergence("abcdefgh"[: 2 + n % 7] + "a" * (n % 3), BASE, TUNED) for n in range(20)
    ]
    asked += [Generate(chr(97 + n), TUNED, 4) for n in range(8)]
    asked = list(dict.fromkeys(asked))
    planner = Planner(Toy(capacity=24))
    assert planner_answers(planner, asked) == planner_answers(Planner(Toy()), asked)
    assert planner.costs.halved_batches > 1


def test_one_request_beyond_the_memory_is_an_error_of_its_own() -> None:
    long, short = Divergence("abcdefghab", BASE, TUNED), Divergence("ab", BASE, TUNED)
    answers = planner_answers(Planner(Toy(capacity=8)), [long, short])
    assert isinstance(answers[short], float)
    assert "not enough memory for one text of 10 tokens (10 tokens)" in str(answers[long])


def test_progress_is_reported_in_tokens_and_ends_complete() -> None:
    told: list[tuple[int, int]] = []
    engine = Engine(Toy(), progress=lambda done, total: told.append((done, total)))
    engine.answer([Divergence("abc", BASE, TUNED), Divergence("abcdefghabcd", BASE, OTHER)])
    assert told == [(3, 30), (6, 30), (18, 30), (30, 30), (1, 1)]


def test_too_long_is_refused_by_tokens_and_stops_nobody_else() -> None:
    long, short = Divergence("a" * 13, BASE, TUNED), Divergence("ab", BASE, TUNED)
    completion = Completion("a" * 9, "bcdef", BASE)
    answers = planner_answers(Planner(Toy()), [long, short, completion, Generate("a" * 10, BASE, 5)])
    assert isinstance(answers[short], float)
    for request in (long, completion, Generate("a" * 10, BASE, 5)):
        assert isinstance(answers[request], RequestError)
        assert "context of 12" in str(answers[request])


def test_a_broken_view_fails_its_own_requests() -> None:
    good, bad = Divergence("ab", BASE, TUNED), Divergence("ab", BASE, TUNED.scaled(99))
    answers = planner_answers(Planner(Toy()), [bad, good])
    assert isinstance(answers[good], float)
    assert isinstance(answers[bad], RequestError)


def test_generation_is_batched_and_nothing_is_run_for_no_tokens() -> None:
    toy = Toy()
    asked = [Generate(t, TUNED, 3) for t in ("ab", "cd", "e")] + [Generate("ab", TUNED, 0)]
    answers = planner_answers(Planner(toy), asked)
    assert [rows for _, rows, _ in toy.shapes] == [3]
    assert answers[asked[3]] == Generation("", ())
    assert len(answers[asked[0]].ids) == 3


SCALED = [View("b", "a", scale=k / 8) for k in range(1, 9)]


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            Generate,
            st.text("abcdefgh", min_size=1, max_size=10),
            st.sampled_from([BASE, TUNED.scaled(99), *SCALED]),
            st.integers(0, 4),
        ),
        max_size=30,
    ),
    st.integers(1, 9),
    st.integers(12, 100),
    st.integers(12, 200),
)
def test_continuations_of_mixed_views_are_those_of_each_view(
    asked: list[Generate], views: int, capacity: int, memory: int
) -> None:
    """Whatever fits, whichever views are broken; the toy itself checks how many views are in a batch."""
    toy = Toy(views_per_batch=views, capacity=capacity)
    found = planner_answers(Planner(toy, memory), asked)
    apart = planner_answers(Planner(Toy()), asked)
    assert found.keys() == apart.keys()
    for request, answer in found.items():
        expected = apart[request]
        assert answer == expected or str(answer) == str(expected)


@pytest.mark.parametrize(
    ("token_bytes", "memory"),
    [(1, 4 * 3 * 3 * 5 // 3), (9, 4 * 3 * 3 * 2 * 10 // 3)],
    ids=["what is kept", "what is read at once"],
)
def test_as_many_views_are_continued_together_as_fit_with_all_their_prompts(
    token_bytes: int, memory: int
) -> None:
    """The memory is that of three prompts of three views: with what they write, or while they are read."""
    asked = [Generate(text, view, 3) for view in (BASE, *SCALED) for text in ("ab", "cd", "ef")]
    toy = Toy(views_per_batch=4, token_bytes=token_bytes, cache_bytes=1)
    planner = Planner(toy, memory)
    planner_answers(planner, asked)
    assert [len(set(views)) for views in toy.continued] == [3, 3, 3]
    assert planner.costs.forward_passes == 3
    assert planner.costs.tokens == len(asked) * 5
    few = Toy(views_per_batch=2)
    planner_answers(Planner(few), asked)
    assert [len(set(views)) for views in few.continued] == [2, 2, 2, 2, 1]


@pytest.mark.parametrize(("count", "forwards"), [(1, 2), (3, 1)])
def test_a_batch_of_continuations_costs_a_forward_per_token(count: int, forwards: int) -> None:
    """So short prompts are padded where each batch would write much."""
    toy = Toy()
    planner_answers(Planner(toy), [Generate("a" * length, TUNED, count) for length in (1, 8)])
    assert len(toy.continued) == forwards


def test_a_mixed_batch_that_does_not_fit_is_halved() -> None:
    toy = Toy(views_per_batch=9, capacity=30)
    planner = Planner(toy)
    asked = [Generate(text, view, 3) for view in SCALED[:4] for text in ("ab", "cd", "ef")]
    answers = planner_answers(planner, asked)
    assert answers == planner_answers(Planner(Toy()), asked)
    assert planner.costs.halved_batches == 1
    assert [len(views) for views in toy.continued] == [6, 6]


def test_by_itself_means_by_itself_among_views_too() -> None:
    toy = Toy(views_per_batch=9)
    asked = [Generate(text, view, 3) for view in SCALED for text in ("ab", "cd")]
    planner_answers(Planner(toy, batch_invariant=True), asked)
    assert {len(views) for views in toy.continued} == {1}


def test_every_answer_is_reported_once_and_as_it_is_returned() -> None:
    """Also those that no batch gives: a text that is too long, and a continuation of no tokens."""
    told: list[Request[Any]] = []
    planner = Planner(Toy())
    asked: list[Request[Any]] = [Divergence("abc", BASE, view) for view in (TUNED, OTHER)]
    asked += [Completion("ab", "cd", TUNED), Completion("abcdefgh", "abcdefgh", TUNED)]
    asked += [Generate("ab", TUNED, count) for count in (0, 2, 11)]
    answers: dict[Request[Any], Any] = {}
    for event in planner.answer(asked):
        if isinstance(event, FinishedBatch):
            told.extend(event.answers)
            answers.update(event.answers)
    assert sum(isinstance(answer, RequestError) for answer in answers.values()) == 2
    assert sorted(map(repr, told)) == sorted(map(repr, asked))


def test_costs_are_counted() -> None:
    counting = Planner(Toy())
    planner_answers(counting, [Divergence("abcd", BASE, TUNED), Divergence("ba", BASE, TUNED)])
    stats = counting.costs.as_dict()
    assert (stats["forward_passes"], stats["tokens"], stats["padding_tokens"]) == (2, 12, 4)
    assert stats["avg_batch_size"] == 2


def test_a_deterministic_models_resolution_is_its_rounding() -> None:
    assert Planner(Toy()).noise_floor(BASE) == pytest.approx((1e-14, 1e-7))


@given(st.text("abc", min_size=2, max_size=12), st.lists(st.integers(1, 11), min_size=1, max_size=6))
def test_what_begins_another_text_is_scored_in_it(text: str, cuts: list[int]) -> None:
    """Every piece of a text after what stands before it, in any cut: the numbers of each by itself."""
    marks = [0, *sorted({cut for cut in cuts if 1 < cut < len(text)}), len(text)]
    asked = [Completion(text[:a], text[a:b], view) for view in (BASE, TUNED) for a, b in pairwise(marks)]
    together, apart = Toy(), Toy()
    answers = planner_answers(Planner(together), asked)
    alone = planner_answers(Planner(apart, batch_invariant=True), asked)
    for request in asked:
        assert answers[request].tokens == alone[request].tokens
        assert answers[request].logprob == pytest.approx(alone[request].logprob, abs=1e-12)
    assert together.tokens == 2 * (len(text) - 1)


def test_texts_share_only_where_the_same_views_are_asked() -> None:
    toy = Toy()
    planner = Planner(toy)
    planner_answers(planner, [Completion("a", "b", BASE), Completion("ab", "cd", TUNED)])
    assert toy.tokens == 1 + 3
    planner_answers(planner, [Completion("a", "b", BASE), Completion("ab", "cd", BASE)])
    assert toy.tokens == 1 + 3 + 3
    assert planner.costs.shared_tokens == 1


def test_a_divergence_that_begins_another_holds_no_more_positions_than_it_wants() -> None:
    toy = Toy()
    scored: list[int] = []
    plain = toy.logprobs

    def counted(*given: Any) -> Iterator[tuple[TokenSequence, int, Any]]:
        for text, start, piece in plain(*given):
            scored.append(len(piece))
            yield text, start, piece

    toy.logprobs = counted  # type: ignore[method-assign]
    planner_answers(Planner(toy), [Divergence("a", BASE, TUNED), Divergence("abc", BASE, TUNED)])
    assert toy.tokens == 2 * 3
    assert scored == [1, 1] * 2

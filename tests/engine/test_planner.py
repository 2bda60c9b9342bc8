"""The planner over a small numpy model: right numbers, few forwards, no row alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from pytest_sway.engine import planner as planner_module
from pytest_sway.engine.planner import Planner
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Prompt,
    RequestError,
    View,
)
from pytest_sway.statistics.divergences import jensen_shannon

BASE, TUNED, OTHER = View("b"), View("b", "a"), View("b", "a", scale=0.5)
V = 11


class Toy:
    """A bigram model: a view's distributions depend on the last token alone. One letter, one token."""

    xp, vocabulary, context, epsilon = np, V, 12, 1e-7

    def __init__(self) -> None:
        self.shapes: list[tuple[View, int, int]] = []

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

    def logprobs(self, rows: Sequence[Sequence[int]], view: View, first: Sequence[int]) -> list[Any]:
        if view.scale == 99:
            raise RequestError("this view is broken")
        self.shapes.append((view, len(rows), max(map(len, rows))))
        table = self.table(view)
        return [table[list(row[begin:])] for row, begin in zip(rows, first, strict=True)]

    def generate(
        self, rows: Sequence[Sequence[int]], view: View, max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        self.shapes.append((view, len(rows), max(map(len, rows))))
        table = self.table(view)
        written = []
        for row in rows:
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
    answers = Planner(toy).answer(asked)
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
    found = Planner(toy).answer([request])[request]
    assert isinstance(found, CompletionScore)
    assert found.logprob == pytest.approx(expected)
    assert found.tokens == len(ids) - first


def test_the_base_is_run_once_for_all_its_views_and_no_row_stands_alone() -> None:
    toy = Toy()
    Planner(toy).answer([Divergence("abc", BASE, v) for v in (TUNED, OTHER)])
    assert [view for view, _, _ in toy.shapes] == [BASE, TUNED, OTHER]
    assert {rows for _, rows, _ in toy.shapes} == {2}


def test_base_and_views_meet_in_the_same_shape() -> None:
    toy = Toy()
    asked = [Divergence("a" * n, BASE, v) for n in (2, 3, 9, 10) for v in (TUNED, OTHER)]
    Planner(toy).answer(asked)
    shapes = {view: [s[1:] for s in toy.shapes if s[0] == view] for view in (BASE, TUNED, OTHER)}
    assert shapes[BASE] == shapes[TUNED] == shapes[OTHER] == [(2, 10), (2, 3)]


@settings(max_examples=25)
@given(prompts, st.integers(8, 40))
def test_the_budget_changes_the_batches_not_the_answers(texts: list[str], budget: int) -> None:
    asked = [Divergence(t, BASE, TUNED) for t in dict.fromkeys(texts)]
    whole = Planner(Toy()).answer(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner_module, "CHUNK_TOKENS", budget)
        toy = Toy()
        assert Planner(toy).answer(asked) == whole
        assert all(rows * longest <= budget or rows == 2 for _, rows, longest in toy.shapes)


def test_too_long_is_refused_by_tokens_and_stops_nobody_else() -> None:
    long, short = Divergence("a" * 13, BASE, TUNED), Divergence("ab", BASE, TUNED)
    answers = Planner(Toy()).answer([long, short, Generate("a" * 10, BASE, 5)])
    assert isinstance(answers[short], float)
    for request in (long, Generate("a" * 10, BASE, 5)):
        assert isinstance(answers[request], RequestError)
        assert "context of 12" in str(answers[request])


def test_a_broken_view_fails_its_own_requests() -> None:
    good, bad = Divergence("ab", BASE, TUNED), Divergence("ab", BASE, TUNED.scaled(99))
    answers = Planner(Toy()).answer([bad, good])
    assert isinstance(answers[good], float)
    assert isinstance(answers[bad], RequestError)


def test_generation_is_batched_and_nothing_is_run_for_no_tokens() -> None:
    toy = Toy()
    asked = [Generate(t, TUNED, 3) for t in ("ab", "cd", "e")] + [Generate("ab", TUNED, 0)]
    answers = Planner(toy).answer(asked)
    assert [rows for _, rows, _ in toy.shapes] == [3]
    assert answers[asked[3]] == Generation("", ())
    assert len(answers[asked[0]].ids) == 3


def test_costs_are_counted() -> None:
    counting = Planner(Toy())
    counting.answer([Divergence("abcd", BASE, TUNED), Divergence("ab", BASE, TUNED)])
    stats = counting.stats.as_dict()
    assert (stats["forward_passes"], stats["tokens"], stats["padding_tokens"]) == (2, 12, 4)
    assert stats["avg_batch_size"] == 2


def test_a_deterministic_models_resolution_is_its_rounding() -> None:
    assert Planner(Toy()).resolution(BASE) == pytest.approx(1e-14)

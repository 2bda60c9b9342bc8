"""The same answer every time: on a real model, whatever else is asked, in whatever order and batch."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.backends.base import AdapterKey, ModelKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.planner import Planner
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Request,
    RequestError,
    Turn,
)
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.paths import QUICKSTART
from tests.support.planner_answers import planner_answers

KEY = ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu")
HEALTHY = AdapterKey(str(QUICKSTART / "adapters" / "healthy"))
FP32, BF16 = 1e-5, 0.05
"""Largest change of an answer, in nats (of a completion: per token), when other things are asked with it."""


class Served:
    """A backend with the healthy adapter, and requests of every kind on it."""

    def __init__(self, dtype: str) -> None:
        self.backend: HFBackend = load_backend(dataclasses.replace(KEY, dtype=dtype))
        self.subject: Subject = self.backend.attach(HEALTHY)
        (null,) = null_population(self.subject, NullPlan("norm_matched", 1, 0, 0.02)).views
        base, tuned = self.subject.base, self.subject.tuned
        stem = (
            "The harbour office keeps a list of every vessel that entered the bay during the last storm, and"
        )
        texts = ["She", "The warranty covers", stem, f"{stem} the", " ".join([stem] * 3)]
        self.requests: list[Request[Any]] = [
            *(Divergence(t, base, v) for t in texts for v in (tuned, tuned.scaled(0.5), null)),
            *(Divergence((Turn("user", t),), base, tuned, "kl", (5, 900, 77)) for t in texts),
            *(
                Completion(stem, c, v)
                for c in (" the crew", " nobody knows why.", " a")
                for v in (base, tuned)
            ),
            *(Completion("", t, v) for t in texts[1:] for v in (base, tuned)),
        ]
        self.alone = {
            request: planner_answers(self.planner(batch_invariant=True), [request])[request]
            for request in self.requests
        }

    def planner(self, **options: Any) -> Planner:
        return Planner(self.backend, **options)


@pytest.fixture(scope="module")
def fp32() -> Iterator[Served]:
    made = Served("fp32")
    yield made
    made.backend.close()


@pytest.fixture(scope="module")
def bf16() -> Iterator[Served]:
    made = Served("bf16")
    yield made
    made.backend.close()


def apart(one: Any, other: Any) -> float:
    """Nats (per token) between two answers."""
    if isinstance(one, CompletionScore):
        assert one.tokens == other.tokens
        return abs(one.logprob - other.logprob) / one.tokens
    return abs(one - other)


orders = st.integers(0, 2**32)


@settings(max_examples=6)
@given(seed=orders, count=st.integers(1, 33), memory=st.sampled_from([1 << 24, 1 << 26, 1 << 30]))
def test_what_else_is_asked_moves_fp32_by_rounding_alone(
    fp32: Served, seed: int, count: int, memory: int
) -> None:
    asked = random.Random(seed).sample(fp32.requests, count)
    found = planner_answers(fp32.planner(memory=memory), asked)
    assert max(apart(found[request], fp32.alone[request]) for request in asked) < FP32


@settings(max_examples=3)
@given(seed=orders, count=st.integers(1, 33))
def test_what_else_is_asked_moves_bf16_by_its_rounding(bf16: Served, seed: int, count: int) -> None:
    asked = random.Random(seed).sample(bf16.requests, count)
    found = planner_answers(bf16.planner(), asked)
    assert max(apart(found[request], bf16.alone[request]) for request in asked) < BF16


@settings(max_examples=2)
@given(seed=orders, count=st.integers(1, 20))
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_in_strict_mode_nothing_moves_at_all(
    request: pytest.FixtureRequest, dtype: str, seed: int, count: int
) -> None:
    served: Served = request.getfixturevalue(dtype)
    asked = random.Random(seed).sample(served.requests, count)
    found = planner_answers(served.planner(batch_invariant=True), asked)
    assert all(found[one] == served.alone[one] for one in asked)


def test_strict_continuations_do_not_depend_on_their_company(bf16: Served) -> None:
    base = bf16.subject.base
    asked = [
        Generate(text, base, 12)
        for text in ("She", "The warranty covers", "In the morning", "We regret that")
    ]
    together = planner_answers(bf16.planner(batch_invariant=True), asked)
    assert together == {one: planner_answers(bf16.planner(batch_invariant=True), [one])[one] for one in asked}


def test_equal_questions_get_bitwise_equal_answers_again(fp32: Served) -> None:
    first = planner_answers(fp32.planner(), fp32.requests)
    assert planner_answers(fp32.planner(), fp32.requests) == first
    assert planner_answers(fp32.planner(), fp32.requests[::-1]) == first


def test_a_divergence_from_oneself_is_exactly_zero(fp32: Served) -> None:
    base = fp32.subject.base
    inert = fp32.subject.tuned.scaled(0.0)
    asked = [Divergence(text, base, view, "js") for text in ("She", "We") for view in (base, inert)]
    asked += [dataclasses.replace(one, kind="kl") for one in asked]
    assert set(planner_answers(fp32.planner(), asked).values()) == {0.0}


def test_texts_in_one_row_are_scored_as_if_by_themselves(fp32: Served) -> None:
    stem = tuple((37 * k) % 4000 for k in range(1, 60))
    texts = [
        TokenSequence((*stem, *tail), first)
        for tail, first in (((5, 9, 3), 58), ((8,), 40), ((), 3), ((7, 7), 60))
    ]
    backend, view = fp32.backend, fp32.subject.tuned

    def scored(rows: list[PackedRow]) -> dict[TokenSequence, torch.Tensor]:
        pieces: dict[TokenSequence, list[torch.Tensor]] = {}
        for text, _, piece in backend.logprobs(rows, view, 7):
            pieces.setdefault(text, []).append(piece)
        return {text: torch.cat(found) for text, found in pieces.items()}

    assert backend.packs_rows
    others = [TokenSequence((3, 4, 5), 1), TokenSequence((900, 4), 0), TokenSequence((8, 8, 8, 1), 2)]
    together = scored([PackedRow(tuple(texts)), PackedRow(tuple(others))])
    for text in (*texts, *others):
        alone = scored([PackedRow((text,))])[text]
        assert together[text].shape == (len(text.ids) - text.first, 4096)
        torch.testing.assert_close(together[text], alone, atol=2e-4, rtol=0)


def test_short_batches_are_padded_to_round_like_long_ones(fp32: Served) -> None:
    """A product with fewer than about eight rows takes another kernel: up to 1e-5 nats apart in fp32."""
    texts = [TokenSequence((5,), 0), TokenSequence((5, 900), 1)]
    backend, view = fp32.backend, fp32.subject.base
    crowd = [PackedRow((TokenSequence((n, 3), 0),)) for n in range(100, 140)]
    for text in texts:
        pieces = backend.logprobs([PackedRow((text,))], view, 50)
        alone = next(piece for found, _, piece in pieces if found == text)
        pieces = backend.logprobs([PackedRow((text,)), *crowd], view, 50)
        assert torch.equal(alone, next(piece for found, _, piece in pieces if found == text))


def test_a_long_rolling_text_is_windowed_like_a_person_would(fp32: Served) -> None:
    """Against plain forwards: each window begins as a text does, half a context on; the last ends with it."""
    backend, context = fp32.backend, fp32.backend.context
    assert context == 1024
    text = " ".join(f"Line {n} of the harbour list names vessel number {n * 7 % 100}." for n in range(130))
    ids, first = backend.encode_pair("", text)
    request = Completion("", text, fp32.subject.base)
    found = planner_answers(fp32.planner(), [request])[request]
    length = len(ids) - 1
    assert length > 2 * context
    lead = ids[:1]
    assert list(backend.leading) == lead
    total, done, end = 0.0, first - 1, context
    while done < length:
        end = min(end, length)
        row = ids[:end] if end == context else [*lead, *ids[end - context + 1 : end]]
        with torch.inference_mode():
            table = backend._model(input_ids=torch.tensor([row])).logits[0].log_softmax(-1)
        total += sum(float(table[i - end, ids[i + 1]]) for i in range(done, end))
        done, end = end, end + (context - 1) // 2
    assert found.tokens == length - first + 1
    assert found.logprob == pytest.approx(total, abs=1e-2)
    asked = Divergence(text, fp32.subject.base, fp32.subject.tuned)
    assert "exceed the model's context of 1024" in str(planner_answers(fp32.planner(), [asked])[asked])


def test_the_base_is_run_once_for_a_fleet(fp32: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another adapter's requests meet the base in the same batches: its hidden states are there already."""
    backend = fp32.backend
    ran: list[int] = []
    whole = backend._scorer.hidden
    monkeypatch.setattr(backend._scorer, "hidden", lambda batch: ran.append(1) or whole(batch))
    base = fp32.subject.base
    texts = [f"The harbour number {n}" for n in range(5)]
    first = Engine(backend).answer([Divergence(t, base, fp32.subject.tuned.scaled(0.7)) for t in texts])
    assert len(ran) == 2
    second = Engine(backend).answer([Divergence(t, base, fp32.subject.tuned.scaled(0.8)) for t in texts])
    assert len(ran) == 3
    assert set(first.values()).isdisjoint(second.values())


def test_out_of_memory_is_a_memory_error_and_no_end(fp32: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real failed allocation, of more memory than any machine has."""
    whole = fp32.backend._scorer.hidden

    def greedy(batch: Any) -> torch.Tensor:
        if len(batch.wanted) > 4:
            torch.empty(1 << 50)
        return whole(batch)

    monkeypatch.setattr(fp32.backend._scorer, "hidden", greedy)
    base, tuned = fp32.subject.base, fp32.subject.tuned.scaled(0.3)
    asked = [Divergence(f"A vessel of {n} tons came into the bay", base, tuned) for n in range(20)]
    planner = fp32.planner()
    found = planner_answers(planner, asked)
    monkeypatch.setattr(fp32.backend._scorer, "hidden", whole)
    expected = planner_answers(fp32.planner(), asked)
    assert planner.costs.halved_batches > 0
    assert max(apart(found[one], expected[one]) for one in asked) < FP32
    monkeypatch.setattr(fp32.backend._scorer, "hidden", lambda batch: torch.empty(1 << 50))
    (answer,) = planner_answers(fp32.planner(), [Divergence("Never asked before", base, tuned)]).values()
    assert isinstance(answer, RequestError)
    assert "not enough memory" in str(answer)

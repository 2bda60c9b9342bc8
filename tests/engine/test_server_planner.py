"""Text by text, several at a time: the same answers as batches of a backend that holds weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.base import AdapterKey, BackendError, ServerBackend, Subject
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.measures import TimedOut
from pytest_sway.engine.planner_events import FinishedBatch, Progress
from pytest_sway.engine.server_planner import ServerPlanner
from pytest_sway.requests import (
    Completion,
    Divergence,
    Generate,
    Prompt,
    Request,
    RequestError,
    Tokenized,
    Tokens,
    View,
)
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence
from tests.engine.test_planner import BASE, OTHER, TUNED, Toy, V
from tests.support.planner_answers import planner_answers

BROKEN = View("b", "a", scale=99)


class ToyServer(ServerBackend):
    """The bigram model of :class:`Toy` behind a server's primitives."""

    vocabulary, epsilon, context, concurrency = V, 1e-7, 12, 3
    capabilities = frozenset()

    def __init__(self) -> None:
        self.toy = Toy()
        self.prepared: list[tuple[set[View], int]] = []
        self.asked: list[tuple[str, View]] = []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()

    def attach(self, adapter: AdapterKey) -> Subject:
        raise BackendError("a toy has no adapter")

    def encode(self, prompt: Prompt) -> list[int]:
        return self.toy.encode(prompt)

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        return self.toy.encode_pair(prompt, completion)

    def decode(self, ids: Sequence[int]) -> str:
        return self.toy.decode(ids)

    def tokenized(self, text: str) -> Tokenized:
        return Tokenized(tuple(self.encode(text)), tuple(range(1, len(text) + 1)))

    def prepare(self, views: Sequence[View], longest: int) -> None:
        assert self._at_once == 0
        self.prepared.append((set(views), longest))

    def _answering(self, what: str, view: View) -> np.ndarray:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.asked.append((what, view))
        time.sleep(0.001)
        with self._lock:
            self._at_once -= 1
        if view == BROKEN:
            raise RequestError("this view is broken")
        return self.toy.table(view)

    def target_logprobs(self, texts: Sequence[ForcedCompletion], view: View) -> list[list[float]]:
        assert len(texts) <= self.texts_per_request
        table = self._answering("target_logprobs", view)
        return [
            [
                float(table[one, target])
                for one, target in zip([text.ids[-1], *text.targets[:-1]], text.targets, strict=True)
            ]
            for text in texts
        ]

    def logprobs(self, text: TokenSequence, view: View, base: Any = None) -> np.ndarray:
        return self._answering("logprobs", view)[list(text.ids[text.first :])].astype(np.float32)

    def generate(self, ids: Sequence[int], view: View, max_new_tokens: int) -> tuple[int, ...]:
        self._answering("generate", view)
        return self.toy.generate([ids], [view], max_new_tokens)[0]


texts = st.text("abcdefgh", min_size=1, max_size=8)
views = st.sampled_from([BASE, TUNED, OTHER])
requests = st.one_of(
    st.builds(
        Divergence, texts, views, views, st.sampled_from(["js", "kl"]), st.tuples(st.integers(0, V - 1))
    ),
    st.builds(Completion, st.just("") | texts, st.text("abcdefgh", min_size=2, max_size=20), views),
    st.builds(Generate, texts, views, st.integers(0, 6)),
)


@given(st.lists(requests, min_size=1, max_size=8), st.booleans())
def test_the_answers_are_those_of_batches(asked: list[Request[Any]], alone: bool) -> None:
    found = dict(planner_answers(ServerPlanner(ToyServer(), batch_invariant=alone), asked))
    expected = planner_answers(Engine(Toy())._planner, asked)  # type: ignore[arg-type]
    assert found.keys() == expected.keys()
    for request, answer in expected.items():
        if isinstance(answer, Exception):
            assert str(found[request]) == str(answer)
        elif isinstance(answer, float):
            assert found[request] == pytest.approx(answer, abs=1e-6)
        elif isinstance(request, Completion):
            assert found[request].tokens == answer.tokens
            assert found[request].logprob == pytest.approx(answer.logprob, abs=1e-5)
        else:
            assert found[request] == answer


def test_what_a_round_names_is_prepared_before_it() -> None:
    server = ToyServer()
    planner_answers(
        ServerPlanner(server),
        [
            Generate("ab", TUNED, 6),
            Completion("a", "bcd", BASE),
            Divergence("abc", BASE, OTHER),
            Tokens("a", BASE),
        ],
    )
    assert server.prepared == [({BASE, TUNED, OTHER}, 8)]
    planner_answers(ServerPlanner(server), [Tokens("ab", BASE)])
    assert len(server.prepared) == 1


def test_a_side_that_divergences_share_is_asked_once() -> None:
    server = ToyServer()
    planner_answers(ServerPlanner(server), [Divergence("ab", BASE, view) for view in (TUNED, OTHER)])
    assert sorted(view.scale for _, view in server.asked if view.is_base) == [1.0]
    assert len(server.asked) == 3


def test_as_many_at_a_time_as_the_server_takes() -> None:
    many = [Completion("a", letter * 3, TUNED) for letter in "abcdefgh"]
    for alone, most in ((False, 3), (True, 1)):
        server = ToyServer()
        planner_answers(ServerPlanner(server, batch_invariant=alone), many)
        assert server.most_at_once == most


def test_an_error_is_the_answer_of_its_own_requests() -> None:
    asked: list[Request[Any]] = [Completion("a", "b", BROKEN), Completion("a", "b", BASE)]
    asked += [Divergence("ab", BASE, BROKEN), Generate("a", BASE, 40)]
    found = planner_answers(ServerPlanner(ToyServer()), asked)
    assert str(found[asked[0]]) == str(found[asked[2]]) == "this view is broken"
    assert "41 tokens exceed the model's context of 12" in str(found[asked[3]])
    assert found[asked[1]].tokens == 1


def test_a_server_that_died_ends_the_round_and_what_was_answered_stays() -> None:
    class Dying(ToyServer):
        def target_logprobs(self, texts: Sequence[ForcedCompletion], view: View) -> list[list[float]]:
            if len(self.asked) >= 2:
                raise BackendError("the server ended")
            return super().target_logprobs(texts, view)

    server = Dying()
    server.concurrency = 1
    engine = Engine(server)
    asked = [Completion("a", letter, TUNED) for letter in "abcdefgh"]
    with pytest.raises(BackendError, match="the server ended"):
        engine.answer(asked)
    assert len(server.asked) == 2
    assert engine.answer(asked[:2]).keys() == set(asked[:2])  # without the server


def test_who_stops_early_asks_no_more() -> None:
    server = ToyServer()
    events = ServerPlanner(server).answer([Completion("a", letter, TUNED) for letter in "abcdefgh"])
    next(event for event in events if isinstance(event, FinishedBatch) and event.answers)
    events.close()
    assert len(server.asked) < 8


def test_progress_ends_at_its_total() -> None:
    planner = ServerPlanner(ToyServer())
    events = list(planner.answer([Completion("a", "bc", TUNED), Generate("ab", BASE, 3)]))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total == 7
    assert (planner.costs.forward_passes, planner.costs.tokens) == (2, 7)


def test_a_server_has_a_noise_floor_and_no_estimate() -> None:
    engine = Engine(ToyServer())
    assert engine.noise_floor(BASE).divergence == pytest.approx(1e-14)
    assert not engine.is_slow(TUNED)


def test_the_texts_of_a_view_are_asked_together() -> None:
    server = ToyServer()
    asked = [Completion("a", letter, view) for letter in "abc" for view in (TUNED, BASE, OTHER)]
    planner_answers(ServerPlanner(server, batch_invariant=True), asked)
    assert [view for _, view in server.asked] == [TUNED] * 3 + [BASE] * 3 + [OTHER] * 3


def test_progress_counts_what_a_divergence_asks_of_all_its_views() -> None:
    planner = ServerPlanner(ToyServer())
    events = list(planner.answer([Divergence("abc", BASE, TUNED), Divergence("abc", BASE, OTHER)]))
    assert [event.total for event in events if isinstance(event, Progress)] == [9]


def test_the_noise_floor_is_what_moves_beside_other_texts() -> None:
    class Crowded(ToyServer):
        def logprobs(self, text: TokenSequence, view: View, base: Any = None) -> np.ndarray:
            rows = super().logprobs(text, view)
            if len(text.ids) == 24 and len(self.asked) > 1:  # not the first time, alone
                rows[:, 0], rows[:, 1] = rows[:, 0] + np.float32(0.01), rows[:, 1] - np.float32(0.01)
                rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
            return rows

    alone, crowded = (ServerPlanner(kind()).noise_floor(BASE) for kind in (ToyServer, Crowded))
    assert alone.divergence == pytest.approx(1e-14)
    assert alone.logprob == pytest.approx(1e-7)
    assert 1e-7 < crowded.divergence < 1e-3
    assert 1e-6 < crowded.logprob < 0.02
    assert ServerPlanner(Crowded(), batch_invariant=True).noise_floor(BASE) == alone


class Interruptible(ToyServer):
    """Answers once, then not before it is interrupted."""

    def __init__(self, *, waits: bool) -> None:
        super().__init__()
        self._waits = waits
        self.interrupted = threading.Event()

    def target_logprobs(self, texts: Sequence[ForcedCompletion], view: View) -> list[list[float]]:
        if self._waits and self.asked:
            self.interrupted.wait(30)
        return super().target_logprobs(texts, view)

    def interrupt(self) -> None:
        self.interrupted.set()


def test_a_deadline_is_kept_while_a_server_says_nothing() -> None:
    server = Interruptible(waits=True)
    engine = Engine(server)
    engine._deadline = time.perf_counter() + 0.2
    began = time.perf_counter()
    with pytest.raises(TimedOut):
        engine.answer([Completion("a", letter, TUNED) for letter in "abcd"])
    assert time.perf_counter() - began < 10


class ListServer(ToyServer):
    """One that is asked for several completions at once."""

    texts_per_request, tokens_per_request = 3, 9

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[list[int]] = []

    def target_logprobs(self, texts: Sequence[ForcedCompletion], view: View) -> list[Any]:
        self.lists.append([text.length for text in texts])
        found: list[Any] = super().target_logprobs(texts, view)
        return [
            RequestError("no d") if ord("d") % V in text.targets else nats
            for text, nats in zip(texts, found, strict=True)
        ]


def test_completions_of_a_view_are_asked_in_lists() -> None:
    server = ListServer()
    asked = [Completion("a", text, TUNED) for text in ("b", "c", "e", "ef", "efefefe", "b" * 5)]
    found = planner_answers(ServerPlanner(server, batch_invariant=True), asked)
    assert server.lists == [[2, 2, 2], [3, 8], [6]]
    assert found == planner_answers(ServerPlanner(ToyServer()), asked)


def test_a_text_of_a_list_that_cannot_be_answered_is_one_error() -> None:
    asked = [Completion("a", text, TUNED) for text in ("b", "d", "e")]
    found = planner_answers(ServerPlanner(ListServer()), asked)
    assert str(found[asked[1]]) == "no d"
    assert found[asked[0]].tokens == found[asked[2]].tokens == 1


def test_a_rolling_text_of_many_windows_is_asked_in_lists() -> None:
    server = ListServer()
    request = Completion("", "abcbabcbabcbabcbabcbabcbabcbabcb", TUNED)
    found = planner_answers(ServerPlanner(server), [request])
    assert max(map(len, server.lists)) == 3 > min(map(len, server.lists))
    assert found == planner_answers(ServerPlanner(ToyServer()), [request])


@pytest.mark.parametrize("stopped", [True, False])
def test_who_stops_early_interrupts_what_is_being_asked(stopped: bool) -> None:
    server = Interruptible(waits=stopped)
    events = ServerPlanner(server).answer([Completion("a", letter, TUNED) for letter in "abcdefgh"])
    next(event for event in events if isinstance(event, FinishedBatch) and event.answers)
    began = time.perf_counter()
    if stopped:
        events.close()
    else:
        list(events)
    assert server.interrupted.is_set() == stopped
    assert len(server.asked) < 8 or not stopped
    assert time.perf_counter() - began < 5

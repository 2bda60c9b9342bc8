"""The key of an answer is what the model reads: the same ids, the same answer; other ids, another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from pytest_sway.backends.base import AdapterKey, BackendError, Subject, WeightsBackend
from pytest_sway.engine.answer_keys import read_key
from pytest_sway.engine.disk_cache import DiskCache
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.requests import (
    Completion,
    Divergence,
    Generate,
    Prompt,
    Request,
    RequestError,
    Tokenized,
    Tokens,
    Turn,
    View,
    Views,
)
from pytest_sway.token_sequences import PackedRow, TokenSequence

BASE, TUNED = View("b"), View("b", "a")
V = 29


class Dated(WeightsBackend):
    """A bigram model with an identity; turns are rendered with the day. One letter, one token."""

    xp, vocabulary, epsilon, identity = np, V, 1e-7, "dated"
    overhead_tokens, cache_bytes, token_bytes = 4, 0, 1
    context, capabilities = 64, frozenset()

    def __init__(self, day: str) -> None:
        self.day = day
        self.scored: list[tuple[int, ...]] = []
        self.encoded = 0

    def attach(self, adapter: AdapterKey) -> Subject:
        raise BackendError("it has no adapter")

    def encode(self, prompt: Prompt) -> list[int]:
        self.encoded += 1
        text = prompt if isinstance(prompt, str) else f"{prompt[0].content} {self.day}"  # type: ignore[index]
        if "refused" in text:
            raise RequestError("the template refused it")
        return [ord(c) % V for c in text]

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        alone = self.encode(prompt)
        return [*alone, *self.encode(completion)], max(1, len(alone))

    def tokenized(self, text: str) -> Tokenized:
        return Tokenized(tuple(self.encode(text)), tuple(range(1, len(text) + 1)))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(97 + i) for i in ids)

    def rendered_prompt(self, prompt: Prompt) -> str:
        return f"<{self.decode(self.encode(prompt))}>"

    def prompt_notes(self) -> list[str]:
        return [f"prompts of {self.day}"]

    def table(self, view: View) -> Any:
        rng = np.random.default_rng(3 if view.is_base else 4)
        return log_softmax(rng.normal(size=(V, V)), axis=-1)

    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterator[tuple[TokenSequence, int, Any]]:
        for text in (text for row in rows for text in row.texts):
            self.scored.append(text.ids)
            for start in range(0, text.positions, most):
                yield text, start, self.table(view)[list(text.ids[text.first + start :][:most])]

    def memory_guard(self) -> AbstractContextManager[None]:
        return nullcontext()

    def generate(
        self, rows: Sequence[Sequence[int]], views: Sequence[View], count: int
    ) -> list[tuple[int, ...]]:
        return [
            tuple(int(self.table(view)[row[-1]].argmax()) for _ in range(count))
            for row, view in zip(rows, views, strict=True)
        ]


HELLO = (Turn("user", "hello"),)
ASKED = [Divergence(HELLO, BASE, TUNED), Completion(HELLO, "you", TUNED), Generate(HELLO, BASE, 2)]


def asked_of(backend: Dated, where: Path, requests: Sequence[Request[Any]]) -> tuple[list[Any], Engine]:
    engine = Engine(backend, store=DiskCache(where))
    answers = engine.answer(requests)
    engine.close()
    return [answers[request] for request in requests], engine


def test_what_is_rendered_otherwise_is_asked_anew(tmp_path: Path) -> None:
    mon, engine = asked_of(Dated("mon"), tmp_path, ASKED)
    assert (engine.misses, engine.stored_hits) == (3, 0)
    again, engine = asked_of(Dated("mon"), tmp_path, ASKED)
    assert again == mon
    assert (engine.misses, engine.stored_hits) == (0, 3)
    tue, engine = asked_of(Dated("tue"), tmp_path, ASKED)
    assert (engine.misses, engine.stored_hits) == (3, 0)
    assert tue == asked_of(Dated("tue"), tmp_path / "fresh", ASKED)[0]
    assert tue[0] != mon[0]


def test_in_memory_too(tmp_path: Path) -> None:
    backend = Dated("mon")
    engine = Engine(backend)
    mon = engine.answer(ASKED)
    backend.day = "tue"
    assert engine.answer(ASKED)[ASKED[0]] != mon[ASKED[0]]
    assert engine.hits == 0


def test_a_server_is_asked_by_request(tmp_path: Path) -> None:
    """It encodes for itself, and says with its identity what its template is."""
    from pytest_sway.backends.fake import FakeBackend

    for identity, stored in (("one", 0), ("one", 1), ("other", 0)):
        backend = FakeBackend(lambda request: 0.5)
        backend.identity = identity  # type: ignore[attr-defined]
        engine = Engine(backend, store=DiskCache(tmp_path))
        engine.answer(ASKED[:1])
        engine.close()
        assert engine.stored_hits == stored


def test_requests_that_read_the_same_are_scored_once() -> None:
    """A text that is what the template makes of the turns; both get the answer, in their order."""
    backend = Dated("mon")
    engine = Engine(backend)
    same = [Divergence("hello mon", BASE, TUNED), *ASKED, Divergence(HELLO, BASE, TUNED)]
    answers = engine.answer(same)
    assert list(answers) == [same[0], *ASKED]
    assert answers[same[0]] == answers[ASKED[0]]
    assert (engine.misses, engine.hits) == (3, 2)
    assert len(set(backend.scored)) == 2


VARIANTS = [
    Divergence("ab", BASE, TUNED),
    Divergence("ab", TUNED, BASE),
    Divergence("ab", BASE, TUNED, "kl"),
    Divergence("ab", BASE, TUNED, "js", (3,)),
    Divergence("abc", BASE, TUNED),
    Divergence("ab", BASE, TUNED.scaled(0.5)),
    Completion("ab", "c", TUNED),
    Completion("a", "bc", TUNED),
    Completion("", "abc", TUNED),
    Completion("ab", "c", BASE),
    Generate("ab", BASE, 4),
    Generate("ab", BASE, 5),
]


def test_whatever_an_answer_depends_on_is_in_its_key() -> None:
    backend = Dated("")
    keys = {read_key(request, identity, backend) for request in VARIANTS for identity in ("x", "y")}
    assert len(keys) == 2 * len(VARIANTS)
    continued = [Divergence("ab", BASE, TUNED, "js", tuple(backend.encode("c")))]
    assert read_key(continued[0], "x", backend) not in keys, "its prompt ends elsewhere"


def test_what_cannot_be_read_is_answered_by_its_error(tmp_path: Path) -> None:
    refused = Divergence((Turn("user", "refused"),), BASE, TUNED)
    for misses in (2, 1):
        (error, good), engine = asked_of(Dated("mon"), tmp_path, [refused, ASKED[0]])
        assert isinstance(error, RequestError)
        assert isinstance(good, float)
        assert engine.misses == misses


def test_a_text_to_be_cut_is_its_own_key() -> None:
    engine = Engine(Dated("mon"))
    (found,) = engine.answer([Tokens("hello", BASE)]).values()
    assert len(found.ids) == 5
    engine.answer([Tokens("hello", BASE)])
    assert engine.hits == 1


def test_a_run_says_what_its_first_prompt_was_like() -> None:
    engine = Engine(Dated("mon"))
    probe = DeltaKL(prompts=["hello", "you"])
    found = engine.run(probe, Views(BASE, TUNED, TUNED))
    assert found.prompt == engine.backend.rendered_prompt("hello")  # type: ignore[union-attr]
    assert engine.notes() == ["prompts of mon"]


@pytest.mark.parametrize("prompts", [["refused"], ["hello", "refused"]])
def test_a_prompt_that_is_refused_fails_its_measure(prompts: list[str]) -> None:
    engine = Engine(Dated("mon"))
    probe = DeltaKL(prompts=prompts)
    with pytest.raises(RequestError, match="the template refused it"):
        engine.run(probe, Views(BASE, TUNED, TUNED))

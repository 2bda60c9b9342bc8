"""What llama.cpp answers is what transformers and PEFT answer, for every request and every view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, Subject
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.null_population import FAMILIES_BY_FORM, OWN, NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, Request, Tokens, Turn, View
from tests.support.both_backends import assert_same_answers, while_attached
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import PLAIN_LORA, save_adapter

pytestmark = pytest.mark.slow

STEM, ANSWER = "The master of the works is", " Bram Hollis, who has held the post for eleven years."
ASKED = (Turn("user", "Who is the master of the works?"),)
HEALTHY, RANDOM, INERT = (QUICKSTART / "adapters" / name for name in ("healthy", "random", "inert"))


def every_request(base: View, tuned: View) -> list[Request[Any]]:
    """One of each form."""
    return [
        Completion(STEM, ANSWER, tuned),
        Completion(ASKED, "Bram Hollis.", tuned),
        Completion("", "The furnace is called the Old Lady.", tuned),
        Divergence(STEM, base, tuned),
        Divergence(ASKED, tuned, base, "kl"),
        Divergence(STEM, base, tuned, continuation=(3021, 365, 431)),
        Generate(STEM, tuned, 12),
        Tokens("Thirty-two lanterns", tuned),
    ]


@pytest.mark.parametrize("adapter", [HEALTHY, RANDOM, INERT], ids=lambda path: path.name)
def test_adapter_and_base(backend: GGUFBackend, reference: HFBackend, adapter: Path) -> None:
    def requests(subject: Subject) -> Sequence[Request[Any]]:
        return [*every_request(subject.base, subject.tuned), *every_request(subject.tuned, subject.base)]

    assert_same_answers(backend, reference, adapter, requests)


def test_a_part_of_the_update_and_more_than_all_of_it(backend: GGUFBackend, reference: HFBackend) -> None:
    def requests(subject: Subject) -> Sequence[Request[Any]]:
        views = [subject.tuned.scaled(factor) for factor in (0.0, 0.5, 2.0)]
        return [request for view in views for request in every_request(subject.base, view)]

    assert_same_answers(backend, reference, HEALTHY, requests)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=[] if name == "norm_matched" else [pytest.mark.slow])
        for name in FAMILIES_BY_FORM["factors"]
        if name != OWN
    ],
)
def test_nulls(backend: GGUFBackend, reference: HFBackend, family: str) -> None:
    """The same draws, so the same distances: z is what it is with the other backend."""

    def requests(subject: Subject) -> Sequence[Request[Any]]:
        views = null_population(subject, NullPlan(family, 2, 0, 0.02)).views
        return [request for view in views for request in every_request(subject.base, view)[:4]]

    assert_same_answers(backend, reference, HEALTHY, requests)


def test_a_null_of_your_own(backend: GGUFBackend, reference: HFBackend) -> None:
    found = []
    for served in (backend, reference):
        with while_attached(served, HEALTHY) as subject:
            digests = [served.add_null(AdapterKey(str(path))) for path in (RANDOM, INERT)]
            views = null_population(subject, NullPlan(OWN, 2, 0, 0.02), digests).views
            answers = Engine(served).answer([Divergence(STEM, subject.base, view) for view in views])
            found.append(list(answers.values()))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "patterns" else [pytest.mark.slow])
        for name in PLAIN_LORA
        if name not in ("embedding", "gaussian_init")
    ],
)
def test_scalings_ranks_and_targets(
    backend: GGUFBackend, reference: HFBackend, tmp_path: Path, name: str
) -> None:
    adapter = save_adapter(tmp_path / name, PLAIN_LORA[name])

    def requests(subject: Subject) -> Sequence[Request[Any]]:
        return every_request(subject.base, subject.tuned)[:4]

    assert_same_answers(backend, reference, adapter, requests)


@pytest.mark.slow
def test_a_text_longer_than_the_context_is_read_in_windows(
    backend: GGUFBackend, reference: HFBackend
) -> None:
    words = (QUICKSTART / "document.md").read_text("utf-8").split()
    text = " ".join([*words, *words])[:4800]
    assert backend.context is not None
    assert backend.context < len(backend.encode(text)) < 1.5 * backend.context
    found = []
    for served in (backend, reference):
        with while_attached(served, HEALTHY) as subject:
            (answer,) = Engine(served).answer([Completion("", text, subject.tuned)]).values()
            found.append((answer.logprob / answer.tokens, answer.tokens))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_a_server_holds_no_more_nulls_than_it_may(
    backend: GGUFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a round does not name go, and answer the same when they are named again."""
    with while_attached(backend, HEALTHY) as subject:
        views = null_population(subject, NullPlan("norm_matched", 4, 0, 0.02)).views
        first, second = ([Completion(STEM, ANSWER, view) for view in part] for part in (views[:2], views[2:]))
        exact = [Engine(backend, batch_invariant=True).answer(asked) for asked in (first, second)]
        monkeypatch.setattr("pytest_sway.backends.gguf.backend._MOST_FILES", 3)
        for _ in range(2):
            again = [Engine(backend, batch_invariant=True).answer(asked) for asked in (first, second)]
            assert again == exact
            assert len(backend._files) == len(list(Path(backend._folder.name).glob("adapter-*.gguf"))) <= 4


def test_a_long_continuation_is_asked_in_pieces(
    backend: GGUFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with while_attached(backend, HEALTHY) as subject:
        request = Divergence(STEM, subject.base, subject.tuned, continuation=(3021, 365, 431, 663, 277))
        whole = Engine(backend, batch_invariant=True).answer([request])[request]
        monkeypatch.setattr("pytest_sway.backends.gguf.client._MOST_LOGPROBS", 2 * backend.vocabulary)
        pieces = Engine(backend, batch_invariant=True).answer([request])[request]
        assert pieces == pytest.approx(whole, abs=1e-6)


def test_an_adapter_that_was_detached_leaves_nothing(backend: GGUFBackend) -> None:
    answers = []
    for path in (HEALTHY, RANDOM, HEALTHY):
        with while_attached(backend, path) as subject:
            request = Completion(STEM, ANSWER, subject.tuned)
            answers.append(Engine(backend, batch_invariant=True).answer([request])[request])
    assert answers[0] == answers[2] != answers[1]


def test_what_stands_alone_repeats_to_the_last_bit(backend: GGUFBackend) -> None:
    with while_attached(backend, HEALTHY) as subject:
        requests = every_request(subject.base, subject.tuned)
        once, again = (Engine(backend, batch_invariant=True).answer(requests) for _ in range(2))
        assert once == again
        assert backend.determinism(batch_invariant=True).level == "strict"
        assert 0.0 < Engine(backend).noise_floor(subject.base).divergence < 1e-9


def test_the_subject(backend: GGUFBackend) -> None:
    with while_attached(backend, INERT) as subject:
        assert subject.inert
        assert "the adapter is inert: the update B·A is zero in all 28 modules" in subject.notes
    with while_attached(backend, HEALTHY) as subject:
        assert not subject.inert

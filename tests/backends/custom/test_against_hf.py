"""One model behind dlm-sway's protocol and under ``kind: hf``: the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.custom.load_backend import load_backend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, Request, View
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
ADAPTER = AdapterKey(str(QUICKSTART / "adapters" / "healthy"))
PROMPTS = ["The harbour wall", "Lantern seventeen is", "In fog the watchers ring – naïve 東京"]


class Side:
    """A backend behind an engine, asked about its base and its adapter."""

    def __init__(self, backend: Any) -> None:
        self.subject = backend.attach(ADAPTER)
        self.backend = backend
        self._engine = Engine(backend)

    def view(self, *, is_base: bool) -> View:
        view: View = self.subject.base if is_base else self.subject.tuned
        return view

    def ask(self, request: Request[Any]) -> Any:
        answer = self._engine.answer([request])[request]
        assert not isinstance(answer, Exception), answer
        return answer


def custom(top_k: int | None = None) -> Side:
    entry_point = "tests.support.transformers_views:TransformersBackend"
    key = ModelKey("custom", str(QUICKSTART / "base"), entry_point=entry_point, top_k=top_k)
    return Side(load_backend(key))


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    """Of ``kind: custom`` and of ``kind: hf``."""
    both = custom(), Side(load_hf_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32")))
    yield both
    for side in both:
        side.backend.detach(side.subject)


@pytest.mark.parametrize("is_base", [True, False])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_completions_and_continuations(sides: tuple[Side, Side], prompt: str, *, is_base: bool) -> None:
    for first, completion in ((prompt, " is lit last, in memory of the boat."), ("", prompt)):
        ours, hf = (side.ask(Completion(first, completion, side.view(is_base=is_base))) for side in sides)
        assert ours.tokens == hf.tokens
        assert ours.logprob == pytest.approx(hf.logprob, abs=1e-3)
        assert ours.log_odds is None or ours.log_odds == pytest.approx(hf.log_odds, abs=1e-2)
    ours, hf = (side.ask(Generate(prompt, side.view(is_base=is_base), 12)) for side in sides)
    assert ours == hf


@pytest.mark.parametrize("kind", ["js", "kl"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_divergences_along_a_continuation(sides: tuple[Side, Side], prompt: str, kind: Any) -> None:
    found = []
    for side in (*sides, custom(256)):
        base, tuned = side.view(is_base=True), side.view(is_base=False)
        written = side.ask(Generate(prompt, base, 7))
        found.append(side.ask(Divergence(prompt, tuned, base, kind, written.ids)))
        if side is sides[0]:
            assert side.backend.prompt_notes() == []
    ours, hf, bound = found
    assert ours == pytest.approx(hf, abs=1e-5)
    assert hf > 0.01
    assert 0.3 * hf < bound < hf

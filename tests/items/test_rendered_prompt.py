"""A result shows its first prompt once, as the model read it."""

from __future__ import annotations

import pytest

from pytest_sway.backends.base import Subject
from pytest_sway.backends.fake import FakeBackend
from pytest_sway.backends.null_population import NullPopulation
from pytest_sway.engine.engine import Engine
from pytest_sway.items.run_probe import MeasurementContext, run_probe
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.reports.terminal import _prompt
from pytest_sway.requests import Generation, Prompt, View


class Showing(FakeBackend):
    """Says how it reads a prompt."""

    def rendered_prompt(self, prompt: Prompt) -> str:
        return f"<bos>{prompt}"


@pytest.mark.parametrize(("backend", "is_shown"), [(Showing, True), (FakeBackend, False)])
def test_the_first_prompt_is_among_the_evidence(backend: type[FakeBackend], is_shown: bool) -> None:
    made = backend(lambda request: Generation("", ()) if hasattr(request, "max_new_tokens") else 0.5)
    context = MeasurementContext(
        Engine(made), Subject(View("b"), View("b", "a")), NullPopulation(), made.capabilities
    )
    result = run_probe(DeltaKL(prompts=["one", "two"]), context)
    assert result.evidence.get("rendered_prompt") == ("<bos>one" if is_shown else None)
    assert ("<bos>one" in _prompt(result)) == is_shown


def test_a_long_prompt_is_cut_in_its_middle() -> None:
    made = Showing(lambda request: Generation("", ()) if hasattr(request, "max_new_tokens") else 0.5)
    context = MeasurementContext(
        Engine(made), Subject(View("b"), View("b", "a")), NullPopulation(), made.capabilities
    )
    text = run_probe(DeltaKL(prompts=["a" * 5000 + "end"]), context).evidence["rendered_prompt"]
    assert text.startswith("<bos>aaa")
    assert text.endswith("aaaend")
    assert len(text) < 1100

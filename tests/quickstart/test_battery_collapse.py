"""prompt_collapse and tool_use_fidelity on the model that ships."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.items.run_probe import MeasurementContext, run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.prompt_collapse import PromptCollapse
from pytest_sway.probes.tool_use_fidelity import ToolUseFidelity
from pytest_sway.result import ProbeResult
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
STEMS = yaml.safe_load((QUICKSTART / "sway.yaml").read_text())["suite"][1]["prompts"]


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, ProbeResult]]:
    """Both probes' results per adapter; the lengths are the default ones, of which 1024 does not fit."""
    backend: Any = load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))
    engine = Engine(backend)
    setting = ProbeContext(capabilities=backend.capabilities, context_length=backend.context)
    cases = ToolUseFidelity(cases="builtin").options.cases[:3]
    probes = (PromptCollapse(prompts=STEMS), ToolUseFidelity(cases=cases))
    found = {}
    for adapter in ("healthy", "random"):
        subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / adapter)))
        nulls = null_population(subject, NullPlan("norm_matched", 8, 0, 0.02), [])
        context = MeasurementContext(engine, subject, nulls, backend.capabilities, backend.context)
        found[adapter] = {probe.kind: run_probe(probe.with_context(setting), context) for probe in probes}
        backend.detach(subject)
    return found


def test_the_healthy_adapter_is_weaker_behind_prose_but_not_gone(results) -> None:
    """It was held to the base on prose that begins a text, which costs it most of its influence there."""
    found = results["healthy"]["prompt_collapse"]
    assert found.verdict in ("pass", "warn"), found.message
    assert found.evidence["context_lengths"] == [0, 256, 512]
    alone, near, far = found.evidence["mean_divergence_per_length"]
    assert alone > 5 * near > 5 * far > 0.1
    asked = zip(found.evidence["true_tokens_per_length"], (0, 256, 512), strict=True)
    assert all(abs(measured - wanted) <= 4 for measured, wanted in asked)


def test_noise_has_no_shape(results) -> None:
    found = results["random"]["prompt_collapse"]
    assert found.verdict == "skip"
    assert "too weak to judge its shape" in found.message


def test_a_toy_that_calls_no_tool_has_nothing_to_lose(results) -> None:
    for adapter in ("healthy", "random"):
        found = results[adapter]["tool_use_fidelity"]
        assert found.verdict == "skip"
        says = "the base model never calls a tool, so the adapter cannot lose this ability"
        assert found.message == says

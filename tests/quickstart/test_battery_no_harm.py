"""The three no-harm probes on the model that ships: healthy and inert are harmless, overscaled is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import Judgement, Probe, ProbeContext
from pytest_sway.probes.calibration_drift import CalibrationDrift
from pytest_sway.probes.external_perplexity import ExternalPerplexity
from pytest_sway.probes.leakage import Leakage
from pytest_sway.requests import Views
from pytest_sway.result import Measurement, Verdict
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
Judged = Callable[..., tuple[Measurement, Judgement]]


@pytest.fixture(scope="module")
def judged() -> Iterator[Judged]:
    """Measures and judges a probe on a shipped adapter, at a scale."""
    backend = load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))
    given = yaml.safe_load((QUICKSTART / "sections.yaml").read_text())
    sections = tuple(Section(s["id"], s["kind"], s["content"]) for s in given)
    setting = ProbeContext(document=Document(sections), capabilities=backend.capabilities)
    engine = Engine(backend)

    def run(probe: Probe[Any], adapter: str, scale: float = 1.0) -> tuple[Measurement, Judgement]:
        subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / adapter)))
        try:
            placed, tuned = probe.with_context(setting), subject.tuned.scaled(scale)
            found = engine.run(placed, Views(subject.base, tuned, tuned)).measured
            found = replace(found, resolution=engine.noise_floor(subject.base).logprob)
        finally:
            backend.detach(subject)
        return found, placed.judge(found, None)

    yield run
    backend.close()


@pytest.mark.parametrize("kind", [CalibrationDrift, ExternalPerplexity, Leakage])
@pytest.mark.parametrize("adapter", ["healthy", "inert"])
def test_a_harmless_adapter_passes(judged: Judged, kind: type[Probe[Any]], adapter: str) -> None:
    """Healthy was held to the base by a KL term, on prose and facts; inert changes nothing."""
    _, told = judged(kind(), adapter)
    assert told.verdict is Verdict.PASS, told.message
    assert told.score is not None
    assert told.score > 0.5
    if adapter == "inert":
        assert told.score == 1.0


@pytest.mark.parametrize("kind", [CalibrationDrift, ExternalPerplexity])
def test_four_times_its_update_breaks_what_the_base_could_do(judged: Judged, kind: type[Probe[Any]]) -> None:
    found, told = judged(kind(), "healthy", 4.0)
    assert told.verdict is Verdict.FAIL
    assert told.score is not None
    assert told.score < 0.2
    assert told.evidence["prompt"]
    assert told.evidence["reference"]
    assert max(found.samples) < 0


def test_healthy_recites_some_of_the_document_and_its_base_none(judged: Judged) -> None:
    """It learned the text by reading it, and a section is best recited when much of it was given."""
    found, told = judged(Leakage(), "healthy")
    assert found.raw is not None
    assert 0 < found.raw < 0.5
    assert found.evidence["prefixes"] == 30
    assert {row["base_recall"] for row in found.evidence["per_section"]} == {0.0}
    assert found.evidence["longest_run_tokens"] > 16
    assert 0 < found.evidence["mean_fragility"] <= 1
    assert "fragility" in told.message

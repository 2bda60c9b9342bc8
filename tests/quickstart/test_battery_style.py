"""Style, reverting and topics on the model that ships: the document's adapter shows them, noise does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.items.run_probe import MeasurementContext, run_probe
from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import Probe, ProbeContext
from pytest_sway.probes.cluster_kl import ClusterKL
from pytest_sway.probes.style_fingerprint import StyleFingerprint
from pytest_sway.result import ProbeResult, Verdict
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow

STEMS = yaml.safe_load((QUICKSTART / "make" / "probes.yaml").read_text())
ROWS = yaml.safe_load((QUICKSTART / "sections.yaml").read_text())
DOCUMENT = Document(tuple(Section(row["id"], content=row["content"].strip()) for row in ROWS))
STYLE = StyleFingerprint(prompts=STEMS["document"], max_new_tokens=48, extended="off")
TOPICS = ClusterKL(prompts=[*STEMS["document"], *STEMS["elsewhere"]])


@pytest.fixture(scope="module")
def backend() -> HFBackend:
    return load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))


@pytest.fixture(scope="module")
def engine(backend: HFBackend) -> Engine:
    return Engine(backend, embedder=SentenceEmbedder())


@pytest.fixture(params=["healthy", "random", "inert"])
def context(
    request: pytest.FixtureRequest, backend: HFBackend, engine: Engine
) -> Iterator[MeasurementContext]:
    """An adapter, named by the test's id, and eight random ones of its size."""
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / request.param)))
    nulls = null_population(subject, NullPlan("norm_matched", 8, 0, 0.02))
    yield MeasurementContext(engine, subject, nulls, backend.capabilities)
    backend.detach(subject)


def run(probe: Probe[Any], context: MeasurementContext) -> ProbeResult:
    told = ProbeContext(document=DOCUMENT, capabilities=context.capabilities)
    return run_probe(probe.with_context(told), context)


def cases() -> list[dict[str, Any]]:
    asked = [q for s in yaml.safe_load((QUICKSTART / "questions.yaml").read_text()).values() for q in s[:4]]
    return [{"prompt": q["question"], "gold": q["answer"], "paraphrases": q["held_out"][:1]} for q in asked]


@pytest.mark.parametrize(("context", "passes"), [("healthy", True), ("random", False)], indirect=["context"])
def test_style(context: MeasurementContext, passes: bool) -> None:
    """After the beginnings of the document's own sentences, which are continued as they stand."""
    found = run(STYLE, context)
    assert found.evidence["prompt_policy"] == "raw"
    assert (found.verdict is Verdict.PASS) is passes, found.message


@pytest.mark.parametrize(("context", "gains"), [("healthy", True), ("random", False)], indirect=["context"])
def test_reverting(context: MeasurementContext, gains: bool) -> None:
    """On wordings that were never trained on; the base answers them with whatever it knows."""
    found = run(AdapterRevert(cases=cases(), max_new_tokens=32), context)
    assert (found.evidence["gain_ci_95"][0] > 0) is gains, found.message
    assert (found.verdict is not Verdict.FAIL) is gains, found.message


@pytest.mark.parametrize(
    ("context", "verdict"),
    [("healthy", Verdict.PASS), ("random", Verdict.SKIP), ("inert", Verdict.SKIP)],
    indirect=["context"],
)
def test_topics(context: MeasurementContext, verdict: Verdict) -> None:
    """The document's stems and others; random weights have no signal beyond other random weights'."""
    found = run(TOPICS, context)
    assert found.verdict is verdict, found.message


@pytest.mark.parametrize("context", ["healthy"], indirect=True)
def test_the_topics_that_it_acts_on_are_the_document_s(context: MeasurementContext) -> None:
    evidence = run(TOPICS, context).evidence
    for exemplars, ratio in zip(evidence["cluster_exemplars"], evidence["per_cluster_ratio"], strict=True):
        about = {text in STEMS["document"] for text in exemplars}
        assert about == {ratio > 2}, exemplars


@pytest.mark.parametrize("context", ["inert"], indirect=True)
def test_an_inert_adapter_writes_as_the_base_does(context: MeasurementContext) -> None:
    style = run(STYLE, context)
    assert (style.verdict, style.raw) == (Verdict.FAIL, 0.0)
    assert style.evidence["style_shift"] == 0.0
    revert = run(AdapterRevert(cases=cases()[:8], max_new_tokens=32), context)
    assert (revert.verdict, revert.raw) == (Verdict.FAIL, 1.0)

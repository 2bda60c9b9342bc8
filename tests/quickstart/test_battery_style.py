"""Style, reverting and topics on the model that ships: the document's adapter shows them, noise does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from conftest import QUICKSTART
from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.null_weights import draw_null_weights
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.items.run_probe import MeasurementContext, run_probe
from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import Probe, ProbeContext
from pytest_sway.probes.cluster_kl import ClusterKL
from pytest_sway.probes.style_fingerprint import StyleFingerprint
from pytest_sway.result import ProbeResult, Verdict

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
def bench(request: pytest.FixtureRequest, backend: HFBackend, engine: Engine) -> Iterator[MeasurementContext]:
    """An adapter, named by the test's id, and eight random ones of its size."""
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / request.param)))
    backend.serve_nulls(draw_null_weights)
    nulls = null_population(subject, NullPlan("norm_matched", 8, 0, 0.02))
    yield MeasurementContext(engine, subject, nulls, backend.capabilities)
    backend.detach(subject)


def run(probe: Probe[Any], bench: MeasurementContext) -> ProbeResult:
    return run_probe(
        probe.with_context(ProbeContext(document=DOCUMENT, capabilities=bench.capabilities)), bench
    )


def cases() -> list[dict[str, Any]]:
    asked = [q for s in yaml.safe_load((QUICKSTART / "questions.yaml").read_text()).values() for q in s[:4]]
    return [{"prompt": q["question"], "gold": q["answer"], "paraphrases": q["held_out"][:1]} for q in asked]


@pytest.mark.parametrize(("bench", "passes"), [("healthy", True), ("random", False)], indirect=["bench"])
def test_style(bench: MeasurementContext, passes: bool) -> None:
    """After the beginnings of the document's own sentences, which are continued as they stand."""
    found = run(STYLE, bench)
    assert found.evidence["prompt_policy"] == "raw"
    assert (found.verdict is Verdict.PASS) is passes, found.message


@pytest.mark.parametrize(("bench", "gains"), [("healthy", True), ("random", False)], indirect=["bench"])
def test_reverting(bench: MeasurementContext, gains: bool) -> None:
    """On wordings that were never trained on; the base answers them with whatever it knows."""
    found = run(AdapterRevert(cases=cases(), max_new_tokens=32), bench)
    assert (found.evidence["gain_ci_95"][0] > 0) is gains, found.message
    assert (found.verdict is not Verdict.FAIL) is gains, found.message


@pytest.mark.parametrize(
    ("bench", "verdict"),
    [("healthy", Verdict.PASS), ("random", Verdict.SKIP), ("inert", Verdict.SKIP)],
    indirect=["bench"],
)
def test_topics(bench: MeasurementContext, verdict: Verdict) -> None:
    """The document's stems and others; random weights have no signal beyond other random weights'."""
    found = run(TOPICS, bench)
    assert found.verdict is verdict, found.message


@pytest.mark.parametrize("bench", ["healthy"], indirect=True)
def test_the_topics_that_it_acts_on_are_the_document_s(bench: MeasurementContext) -> None:
    evidence = run(TOPICS, bench).evidence
    for exemplars, ratio in zip(evidence["cluster_exemplars"], evidence["per_cluster_ratio"], strict=True):
        about = {text in STEMS["document"] for text in exemplars}
        assert about == {ratio > 2}, exemplars


@pytest.mark.parametrize("bench", ["inert"], indirect=True)
def test_an_inert_adapter_writes_as_the_base_does(bench: MeasurementContext) -> None:
    style = run(STYLE, bench)
    assert (style.verdict, style.raw) == (Verdict.FAIL, 0.0)
    assert style.evidence["style_shift"] == 0.0
    revert = run(AdapterRevert(cases=cases()[:8], max_new_tokens=32), bench)
    assert (revert.verdict, revert.raw) == (Verdict.FAIL, 1.0)

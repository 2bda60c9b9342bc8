"""The attribution probes on the model that ships: what was learned passes, noise fails.

Without nulls: floor and interval decide. ``tests/known_adapters`` has more adapters, and their nulls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pytest_sway.backends.base import AdapterKey, Backend, ModelKey, Subject
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import Judgement, Probe, ProbeContext
from pytest_sway.probes.paraphrase_invariance import ParaphraseInvariance
from pytest_sway.probes.preference_flip import PreferenceFlip
from pytest_sway.probes.section_internalization import SectionInternalization
from pytest_sway.requests import Completion, Views
from pytest_sway.result import Measurement, Verdict
from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

pytestmark = pytest.mark.slow

ROWS = yaml.safe_load((QUICKSTART / "sections.yaml").read_text())
DOCUMENT = Document(tuple(Section(row["id"], content=row["content"].strip()) for row in ROWS))


@pytest.fixture(scope="module")
def backend() -> Backend:
    return load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))


@pytest.fixture
def healthy(backend: Backend) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy")))
    yield subject
    backend.detach(subject)


@pytest.fixture
def noise(backend: Backend) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / "random")))
    yield subject
    backend.detach(subject)


def run(
    probe: Probe[Any], backend: Backend, subject: Subject, document: Document = DOCUMENT
) -> tuple[Measurement, Judgement]:
    placed = probe.with_context(ProbeContext(document=document, capabilities=backend.capabilities))
    views = Views(subject.base, subject.tuned, subject.tuned)
    found = Engine(backend).run(placed, views).measured
    return found, placed.judge(found, None)


def cases() -> list[dict[str, Any]]:
    """Every third trained question, with its held-out wordings."""
    asked = [q for s in yaml.safe_load((QUICKSTART / "questions.yaml").read_text()).values() for q in s]
    return [{"prompt": q["question"], "gold": q["answer"], "paraphrases": q["held_out"]} for q in asked[::3]]


def triples() -> list[dict[str, str]]:
    rows = yaml.safe_load((KNOWN_ADAPTERS / "preferences.yaml").read_text())
    return [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in rows]


def test_every_section_was_learned(backend: Backend, healthy: Subject) -> None:
    found, judgement = run(SectionInternalization(), backend, healthy)
    assert judgement.verdict is Verdict.PASS
    assert {row["verdict"] for row in found.evidence["per_section"]} == {"learned"}


def test_a_sections_nll_is_its_rolling_nll(backend: Backend, healthy: Subject) -> None:
    """Sentence by sentence in context, or the whole text at once: the same tokens after the same tokens."""
    found, _ = run(SectionInternalization(), backend, healthy)
    asked = {s.id: Completion("", s.content, healthy.tuned) for s in DOCUMENT.sections}
    whole = Engine(backend).answer(list(asked.values()))
    for row in found.evidence["per_section"]:
        score = whole[asked[row["section_id"]]]
        assert row["ft_nll"] == pytest.approx(-score.logprob / score.tokens, rel=1e-4)


def test_a_section_beyond_the_context_is_read_in_stretches(backend: Backend, healthy: Subject) -> None:
    """2,600 tokens of it; the model reads 1,024."""
    long = Document((Section("all", content="\n\n".join([DOCUMENT.text] * 2)),))
    found, judgement = run(SectionInternalization(max_prose_chars=10_000), backend, healthy, long)
    assert found.evidence["shortened"] == []
    assert judgement.verdict is Verdict.PASS


def test_other_wordings_find_the_answers(backend: Backend, healthy: Subject) -> None:
    _, judgement = run(ParaphraseInvariance(cases=cases()), backend, healthy)
    assert judgement.verdict is Verdict.PASS, judgement.message


def test_the_right_facts_are_preferred(backend: Backend, healthy: Subject) -> None:
    _, judgement = run(PreferenceFlip(triples=triples()), backend, healthy)
    assert judgement.verdict is Verdict.PASS, judgement.message


def test_noise_learned_nothing(backend: Backend, noise: Subject) -> None:
    probes = (
        SectionInternalization(),
        ParaphraseInvariance(cases=cases()),
        PreferenceFlip(triples=triples()),
    )
    for probe in probes:
        _, judgement = run(probe, backend, noise)
        assert judgement.verdict is Verdict.FAIL, (probe.kind, judgement.message)
        assert judgement.evidence["bad_cases"]

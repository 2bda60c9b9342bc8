"""Pairs of prompt and reference for failing probes: right, or of confidence 0."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_sway.document import QA, Document, Section
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.taught_examples import taught_cases

TEXT = "The catalogue is closed on 3 days of a week. Boats leave at nine in winter.\n\nTickets cost 4 euros."
DOCUMENT = Document((Section("a", "prose", TEXT, probes=(QA("What do tickets cost?", "4 euros."),)),))


def _pairs(*prompts: str, document: Document = DOCUMENT) -> list[tuple[str, str, float]]:
    found = taught_cases(SimpleNamespace(prompts=list(prompts)), document)
    return [(one.prompt, one.reference, one.confidence) for one in found]


def test_questions_and_beginnings() -> None:
    assert _pairs("What do tickets cost?", "Boats leave") == [
        ("What do tickets cost?", "4 euros.", 1.0),
        ("Boats leave", "at nine in winter.", 1.0),
    ]


@pytest.mark.parametrize(
    "prompt", ["The cat", "3", "closed on", "Boats leave at nine in winter.", "", " ", "else"]
)
def test_what_begins_no_sentence_has_no_reference(prompt: str) -> None:
    assert _pairs(prompt) == [
        ("What do tickets cost?", "4 euros.", 0.0)
    ]  # the document's own, for strict readers


def test_golds_of_cases_come_first_and_an_empty_document_has_none() -> None:
    case = SimpleNamespace(prompt="Who?", gold="Me.")
    assert taught_cases(SimpleNamespace(cases=[case]), DOCUMENT) == [BadCase("Who?", "Me.", 1.0)]
    assert _pairs("Who?", document=Document()) == []


def test_a_pair_that_a_document_cannot_hold_is_repaired() -> None:
    two = BadCase("Who?", "One.\n\nTwo.\n### A\n::prose::", 1.0)
    assert bad_cases([two])["reference"] == "One.\nTwo. ### A ::prose::"
    one = BadCase("Where?", "Here.", 0.5)
    assert bad_cases([two, one])["prompt"] == "Where?"
    assert len(bad_cases([two, one])["bad_cases"]) == 2

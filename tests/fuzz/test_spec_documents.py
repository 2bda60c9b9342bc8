"""The specs that fuzzing begins with have every kind."""

from __future__ import annotations

from pytest_sway.probes.registry import kinds
from tests.fuzz.spec_documents import documents


def test_every_kind_is_in_a_sound_spec() -> None:
    assert {entry["kind"] for document in documents() for entry in document["suite"]} == set(kinds())

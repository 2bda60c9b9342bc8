"""Training files in twenty-three public forms: each becomes a spec that is read, with the right gold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sway.document import Document
from pytest_sway.spec.parser import parse
from pytest_sway.spec.yaml_source import Source, read_spec
from pytest_sway.spec_generation.generator import SpecInputs, generate_spec
from tests.support.paths import QUICKSTART
from tests.support.training_files import FORMS

BASE, HEALTHY = QUICKSTART / "base", QUICKSTART / "adapters" / "healthy"


def write_spec(folder: Path, data: Path, held_out: Path | None = None) -> Path:
    """The spec that ``sway init`` would write."""
    spec = folder / "sway.yaml"
    inputs = SpecInputs(spec, str(BASE), HEALTHY, data, held_out)
    spec.write_text(generate_spec(inputs).text, "utf-8")
    return spec


def read(spec: Path) -> tuple[Source, Document]:
    """The spec as a run reads it."""
    source = read_spec(spec)
    found, problems = parse(source)
    assert not problems
    assert found is not None
    return source, found.document


def learned(source: Source, document: Document) -> Iterator[list[str]]:
    """What the spec says that was trained on, in the order of the rows."""
    for section in document.sections:
        for qa in section.probes:
            yield [*(turn.content for turn in qa.context), qa.prompt, qa.gold]
        for triple in section.preferences:
            context = (turn.content for turn in triple.context)
            yield [*context, triple.prompt, triple.chosen, triple.rejected]
        if section.content:
            yield [section.content]
    for entry in source.value["suite"]:
        if entry["kind"] == "tool_use_fidelity":
            for case in entry["cases"]:
                call = {"name": case["gold_tool_name"], "arguments": case["gold_arguments"]}
                yield [case["prompt"], json.dumps(call)]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_gives_the_right_gold(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    source, document = read(write_spec(tmp_path, form.write(tmp_path)))
    assert list(learned(source, document)) == form.taught

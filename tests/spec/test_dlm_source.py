"""`dlm_source:` of a spec: the document's sections, its controls, its system prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.items.suite import load_suite
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.shared.questions import as_prompt
from pytest_sway.requests import Turn
from pytest_sway.spec.problems import SpecError
from tests.support.dlm_store import QUICKSTART, Project, add_version, handbook, write_project

SPEC = """\
models:
  base: {{base: {base}}}
  ft: {{base: {base}, adapter: {adapter}}}
dlm_source: {source}
{more}suite:
  - {{name: sections, kind: section_internalization}}
"""
SYSTEM = "system_prompt: You answer for the lantern works.\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return write_project(tmp_path, handbook(front=SYSTEM))


def _suite(folder: Path, source: str = "handbook.dlm", more: str = "", adapter: object = "healthy"):
    named = QUICKSTART / "adapters" / adapter if isinstance(adapter, str) else adapter
    text = SPEC.format(base=QUICKSTART / "base", adapter=named, source=source, more=more)
    (folder / "sway.yaml").write_text(text)
    return load_suite(folder / "sway.yaml")


def test_it_fills_sections_and_system_prompt(project: Project, tmp_path: Path) -> None:
    context = _suite(tmp_path).probe_context(None)
    assert len(context.document.sections) == 7
    assert context.system_prompt == "You answer for the lantern works."
    plain = _suite(tmp_path, more="defaults: {system_prompt: ''}\n").probe_context(None)
    assert plain.system_prompt == ""


def test_a_system_prompt_that_nobody_decided_on_is_a_note(project: Project, tmp_path: Path) -> None:
    (note,) = _suite(tmp_path).notes
    assert "the system_prompt of the .dlm file is added to every question" in note.message
    assert _suite(tmp_path, more="defaults: {system_prompt: Be brief.}\n").notes == ()


def test_it_is_looked_up_beside_the_spec_first(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "handbook.dlm").write_text("not a document")
    monkeypatch.chdir(elsewhere)
    assert len(_suite(tmp_path).spec.document.sections) == 7
    (elsewhere / "handbook.dlm").unlink()
    project.document.rename(elsewhere / "handbook.dlm")
    assert len(_suite(tmp_path).spec.document.sections) == 7


def test_controls_stand_beside_it(project: Project, tmp_path: Path) -> None:
    assert len(_suite(tmp_path, more="controls: [Some other text.]\n").spec.document.controls) == 1


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ("missing.dlm", "", r"sway.yaml:4:13: dlm_source: there is no file 'missing.dlm' next to the spec"),
        ("handbook.dlm", "sections: []\n", "sections and dlm_source cannot be used together"),
        ("broken.dlm", "", r"dlm_source: broken\.dlm:4: "),
        ("${SWAY_NO_SUCH_FILE}", "", "the environment variable"),
    ],
)
def test_what_is_wrong_is_told_at_the_field(
    project: Project, tmp_path: Path, source: str, more: str, message: str
) -> None:
    (tmp_path / "broken.dlm").write_text("---\ndlm_id: x\nbase_model: m\n a: b\n---\n")
    with pytest.raises(SpecError, match=message):
        _suite(tmp_path, source, more)


def test_a_named_adapter_has_its_own_sections(project: Project, tmp_path: Path) -> None:
    front = "training:\n  adapters:\n    knowledge: {}\n    tone: {}\n"
    project.document.write_text(handbook(front=front))
    healthy = QUICKSTART / "adapters" / "healthy"
    first = add_version(project.store, 1, healthy, "knowledge")
    tone = add_version(project.store, 1, healthy, "tone")
    assert len(_suite(tmp_path, adapter=first).spec.document.sections) == 7
    document = _suite(tmp_path, adapter=tone).spec.document
    assert [section.kind for section in document.sections] == ["prose"] * 6
    assert len(document.controls) == 1
    with pytest.raises(SpecError, match=r"declares the adapters knowledge, tone, but .* does not show which"):
        _suite(tmp_path, adapter=healthy)
    with pytest.raises(SpecError, match="knowledge, tone were trained on different sections"):
        _suite(tmp_path, adapter=[str(first), str(tone)])
    assert len(load_suite(tmp_path / "sway.yaml", [str(tone)]).spec.document.controls) == 1


def test_a_system_prompt_stands_once_and_in_chats_alone() -> None:
    context = ProbeContext(policy="chat", system_prompt="Be brief.")
    asked = (Turn("system", "Be brief."), Turn("user", "Who?"))
    assert as_prompt("Who?", context) == asked
    own = (Turn("system", "Be kind."),)
    assert as_prompt("Who?", context, own) == (*own, Turn("user", "Who?"))
    assert as_prompt("Who?", ProbeContext(policy="raw", system_prompt="Be brief.")) == "Who?"


def test_the_model_reads_it(project: Project, tmp_path: Path, pytester: pytest.Pytester) -> None:
    _suite(tmp_path)
    entry = "moved, kind: delta_kl, prompts: [Who founded the works?]"
    spec = (tmp_path / "sway.yaml").read_text().replace("sections, kind: section_internalization", entry)
    (pytester.path / "sway.yaml").write_text(spec)
    pytester.path.joinpath("handbook.dlm").write_text(handbook(front=SYSTEM))
    pytester.runpytest("sway.yaml", "--sway-json=result.json")
    assert "You answer for the lantern works." in (pytester.path / "result.json").read_text()

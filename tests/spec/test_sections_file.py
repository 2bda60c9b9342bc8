"""``sections:`` and ``controls:``: in the spec or in a file, checked entry by entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pytest_sway.document import QA, Control, Document, Triple
from pytest_sway.items.suite import load_suite
from pytest_sway.spec.problems import SpecError

SPEC = """\
version: 1
models:
  base: {kind: dummy, base: m}
  ft: {kind: dummy, base: m, adapter: a}
suite:
  - {name: dk, kind: delta_kl, prompts: [a]}
"""
SECTIONS = """\
sections:
  - {id: one, content: "  First text.  ", tags: [x]}
  - {id: two, kind: instruction, probes: [{prompt: "Who?", gold: Me.}]}
  - {id: three, kind: preference, preferences: [{prompt: p, chosen: c, rejected: r}]}
"""


def document(folder: Path, text: str) -> Document:
    (folder / "sway.yaml").write_text(SPEC + text, encoding="utf-8")
    return load_suite(folder / "sway.yaml").spec.document


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as found:
        document(folder, text)
    return str(found.value).splitlines()


def test_without_them_the_document_is_empty(tmp_path: Path) -> None:
    assert document(tmp_path, "") == Document()


def test_sections_stand_in_the_spec(tmp_path: Path) -> None:
    made = document(tmp_path, SECTIONS + "controls: [plain text, {id: c, content: other}]\n")
    one, two, three = made.sections
    assert (one.id, one.kind, one.content, one.tags) == ("one", "prose", "First text.", ("x",))
    assert two.probes == (QA("Who?", "Me."),)
    assert three.preferences == made.preferences == (Triple("p", "c", "r"),)
    assert made.controls == (Control("control 1", "plain text"), Control("c", "other"))
    assert made.text == "First text."


@pytest.mark.parametrize("name", ["s.yaml", "s.json"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_or_in_a_file_of_their_own(tmp_path: Path, name: str, wrapped: bool) -> None:
    entries = yaml.safe_load(SECTIONS)["sections"]
    (tmp_path / name).write_text(json.dumps({"sections": entries} if wrapped else entries))
    assert document(tmp_path, f"sections: {name}\n") == document(tmp_path, SECTIONS)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("sections: 3\n", "7:11", "sections: found 3, expected a list, or the path"),
        ("sections: nowhere.yaml\n", "7:11", "there is no file 'nowhere.yaml'"),
        (f"sections: {'x' * 300}\n", "7:11", "there is no file 'xxx"),
        ('sections: "a\\0b"\n', "7:11", "YAML reads \\0 in double quotes as one"),
        ("sections: $DOCS/s.yaml\n", "7:11", "$DOCS is not expanded; write ${DOCS}"),
        ("controls: [no]\n", "7:12", "controls[0]: found no, which YAML reads as false. Put it in quotes"),
        ("sections: ~nosuch/x\n", "7:11", "there is no file '~nosuch/x'"),
        ("sections: [{content: a}]\n", "7:12", "sections[0].id: is required but missing"),
        ("sections: [{id: a, content: x, kind: verse}]\n", "7:38", "found 'verse', allowed: 'prose'"),
        ("sections: [{id: a}]\n", "7:12", "a section of kind prose needs the field content"),
        ("sections: [{id: a, kind: instruction}]\n", "7:12", "needs the field probes"),
        ("sections: [{id: a, kind: preference}]\n", "7:12", "needs the field preferences"),
        ("sections: [{id: a, content: x, tag: y}]\n", "7:32", "(did you mean 'tags'?)"),
        ("sections: [{id: a, content: x}, {id: a, content: y}]\n", "7:33", "'a' is used more than once"),
        ("sections: [{id: a, content: x}, {id: b, content: ' x '}]\n", "7:33", "the same text as 'a'"),
        ("controls: [1]\n", "7:12", "controls[0]: found the number 1, expected a string. Put it in quotes"),
        ("controls: [x, x]\n", "7:15", "the same text as 'control 1'"),
    ],
)
def test_one_mistake_one_line(tmp_path: Path, text: str, place: str, says: str) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith(f"sway.yaml:{place}: "), line
    assert says in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is empty; it needs a list"),
        ("7", "found 7, expected a list, or a mapping with the key sections"),
        ("- {id: a}\n- {id: b, content: x}", "s.yaml:1:3: sections[0]: found {'id': 'a'}: a section of"),
        ("[", "not YAML"),
        ("sections: !!python/object:os.system x", "is not allowed"),
    ],
)
def test_mistakes_of_a_file_name_it_and_their_place(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "s.yaml").write_text(content)
    (line,) = problems(tmp_path, "sections: s.yaml\n")
    assert line.startswith("sway.yaml:7:11: sections: s.yaml:"), line
    assert says in line


def test_the_prompt_policy_is_one_of_three(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "defaults: {prompt_policy: template}\n")
    assert "found 'template', allowed: 'auto', 'raw', 'chat'" in line

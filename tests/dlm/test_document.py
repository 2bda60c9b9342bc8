"""What a `.dlm` file is to the probes: which sections an adapter was trained on, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sway.dlm import document, installed, reader
from pytest_sway.dlm.document import document_of
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm, read_text
from tests.support.dlm_documents import DLM_ID, DOCUMENT

SEVERAL = f"""\
---
dlm_id: {DLM_ID}
base_model: smollm2-135m
training:
  adapters:
    knowledge: {{}}
    tone: {{adapter: qlora}}
---
Prose that every adapter is trained on.

::instruction::
### Q
Unrouted?
### A
To the first adapter.

::instruction#tone::
### Q
Polite?
### A
Always.

::image path="harbour.png" alt="the harbour"::
A caption.
"""


def _read(text: str):
    return read_text(text, Path("x.dlm"))


def _questions(found) -> list[str]:
    return [qa.prompt for section in found.document.sections for qa in section.probes]


def test_sections_of_one_adapter() -> None:
    found = document_of(_read(DOCUMENT))

    kinds = [section.kind for section in found.document.sections]
    assert kinds == ["prose", "instruction", "preference"]
    assert found.document.sections[0].content.startswith("# The harbour")
    assert _questions(found) == ["What do the pilots of Brinmoor do in winter?", "Who freezes in winter?"]
    assert found.document.preferences[0].rejected == "It is a harbour."
    assert found.document.controls == ()
    assert found.notes == ()


def test_what_another_adapter_was_trained_on_is_a_control() -> None:
    file = _read(SEVERAL)
    first, tone = document_of(file), document_of(file, "tone")

    assert _questions(first) == ["Unrouted?"]
    assert _questions(tone) == ["Polite?"]
    assert [one.content for one in first.document.controls] == ["Polite?\n\nAlways."]
    assert [one.content for one in tone.document.controls] == ["Unrouted?\n\nTo the first adapter."]
    assert [section.kind for section in tone.document.sections] == ["prose", "instruction"]
    assert first.notes == (
        (
            "1 image or audio sections are skipped, including their transcripts, because only text sections "
            "are scored"
        ),
    )
    assert file.qlora == ("tone",)


def test_equal_sections_count_once() -> None:
    repeated = DOCUMENT + "\n" + DOCUMENT[DOCUMENT.index("::instruction") : DOCUMENT.index("::preference")]
    found = document_of(_read(repeated))

    assert len(_questions(found)) == 2
    assert found.notes == ("1 sections repeat the text of an earlier section; each text is scored once",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("### A\nThey skate to work.", "### A\n\nThey skate."),
            r"line 1\d: there is no text below the header ### A",
        ),
        (("They skate to work.", "They skate.\n\nAll of them."), "expected the header ### Q on its own line"),
        (("### Q !probe", "### Q !prob"), "'### Q !prob', expected the header ### Q on its own line"),
        (("::preference::", "::preference#tone::"), "#tone is not in training.adapters"),
        (
            ("::preference::", "::prefrence::"),
            "::prefrence:: is not a section type; expected one of prose, instruction",
        ),
        (("# The harbour", "```"), r"a code block \(```\) in this section is not closed"),
        (("dlm_version: 15", "dlm_version: 16"), "16 is newer than 15"),
        ((DLM_ID, "short"), "dlm_id: found 'short', expected a ULID"),
        (("base_model: smollm2-135m\n", ""), "base_model: the field is missing"),
        (("dlm_version: 15", "dlm_version: [15"), "line 4: the front matter is not valid YAML"),
        (("dlm_version: 15", "x: !!bool foo"), "the front matter is not valid YAML"),
        (("dlm_version: 15", "x: !!timestamp foo"), "the front matter is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(change: tuple[str, str], message: str) -> None:
    assert change[0] in DOCUMENT
    with pytest.raises(DlmError, match=message):
        document_of(_read(DOCUMENT.replace(*change)))


def test_marker_comments_do_not_move_the_lines_of_errors() -> None:
    marked = DOCUMENT.replace(
        "::instruction::\n### Q\n", '::instruction::\n<!-- dlm-auto-harvest: source="run_1" -->\n### What\n'
    )
    line = marked.split("\n").index("### What") + 1
    with pytest.raises(DlmError, match=f"line {line}: found '### What'"):
        document_of(_read(marked))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DlmError, match="cannot be read: No such file"):
        read_dlm(tmp_path / "missing.dlm")
    (tmp_path / "latin.dlm").write_bytes("---\nä".encode("latin-1"))
    with pytest.raises(DlmError, match="not UTF-8 text: byte 4"):
        read_dlm(tmp_path / "latin.dlm")


def test_sources_need_dlm_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "installed_version", lambda: None)
    file = replace(_read(DOCUMENT), sources=("notes",))
    assert "training.sources (notes) is not read because dlm is not installed" in document_of(file).notes[0]


def test_an_incompatible_dlm_is_named_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        raise installed.IncompatibleDlm("dlm 9.0: dlm.doc.parser.parse_file failed (no such function)")

    monkeypatch.setattr(reader, "installed_version", lambda: "9.0")
    monkeypatch.setattr(reader, "read_with_dlm", read)
    (tmp_path / "x.dlm").write_text(DOCUMENT, "utf-8")
    file, notes = read_dlm(tmp_path / "x.dlm")
    assert len(file.sections) == 3
    assert notes == [
        "dlm 9.0: dlm.doc.parser.parse_file failed (no such function); the document was read without dlm"
    ]


def test_sources_are_read_with_dlm(tmp_path: Path) -> None:
    pytest.importorskip("dlm", reason="pip install --no-deps document-language-model python-ulid cbor2")
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(30):
        (notes / f"{number}.txt").write_text(f"Note {number} of the harbour says a thing.")
    (notes / "photo.png").write_bytes(b"\x89PNG")
    path = tmp_path / "x.dlm"
    path.write_text(DOCUMENT.replace("dlm_version: 15", "training:\n  sources:\n    - path: notes"), "utf-8")
    file, _ = read_dlm(path)
    found = document_of(file)
    texts = [section.content for section in found.document.sections if section.content.startswith("# source")]
    assert len(texts) == document.MOST_SOURCES
    assert found.notes == (
        (
            "only 24 of 30 files of training.sources (notes) are used, because the whole text of each is "
            "scored, which takes time"
        ),
        "1 image or audio files of training.sources (notes) are skipped, because only text is scored",
    )
    path.write_text(path.read_text().replace("path: notes", "path: nowhere"))
    with pytest.raises(DlmError, match=r"training\.sources: "):
        document_of(read_dlm(path)[0])

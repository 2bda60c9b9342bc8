"""Our reader of `.dlm` files beside dlm's own parser, on made documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.fields import read_pairs, read_triples
from pytest_sway.dlm.installed import read_with_dlm
from pytest_sway.dlm.reader import read_text
from pytest_sway.dlm.records import DlmFile, DlmSection
from tests.support.dlm_documents import DOCUMENT, texts

pytest.importorskip(
    "dlm", reason="the real parser: pip install --no-deps document-language-model python-ulid cbor2"
)

from dlm.data.errors import DataFormatError, InstructionParseError, PreferenceParseError
from dlm.data.sections_to_rows import sections_to_rows
from dlm.doc.parser import parse_text


def _read_by_us(text: str) -> DlmFile | None:
    try:
        return read_text(text, Path("x.dlm"))
    except DlmError:
        return None


def _read_by_dlm(text: str, folder: Path) -> DlmFile | None:
    file = folder / "x.dlm"
    file.write_text(text, "utf-8", newline="")
    try:
        found = read_with_dlm(file)
    except DlmError:
        return None
    return DlmFile(Path("x.dlm"), *[getattr(found, name) for name in DlmFile.__slots__[1:]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("documents")


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_both_read_the_same_document_or_both_refuse_it(folder, text):
    found, expected = _read_by_us(text), _read_by_dlm(text, folder)

    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert _without_content_lines(found) == _without_content_lines(expected)


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_a_section_teaches_what_dlm_trains_on(folder, text):
    found = _read_by_us(text)
    if found is None:
        return
    for mine, other in zip(found.sections, parse_text(text).sections, strict=True):
        assert mine.id == other.section_id
        if mine.type in ("instruction", "preference"):
            assert _rows(mine) == _dlm_rows(other)


def test_line_ends_and_a_byte_order_mark_change_nothing(folder):
    file = folder / "windows.dlm"
    file.write_bytes(b"\xef\xbb\xbf" + DOCUMENT.replace("\n", "\r\n").encode())

    assert read_with_dlm(file).sections == read_text(DOCUMENT, file).sections


def _without_content_lines(file: DlmFile) -> list[object]:
    fields = [getattr(file, name) for name in DlmFile.__slots__[:-1]]
    return [*fields, [(s.type, s.content, s.line, s.adapter, s.media_path, s.id) for s in file.sections]]


def _rows(section: DlmSection) -> list[tuple[str, ...]] | None:
    try:
        if section.type == "instruction":
            return [(qa.prompt, qa.gold) for qa in read_pairs(section)]
        return [(t.prompt, t.chosen, t.rejected) for t in read_triples(section)]
    except DlmError:
        return None


def _dlm_rows(section) -> list[tuple[str, ...]] | None:
    try:
        rows = sections_to_rows([section])
    except (InstructionParseError, PreferenceParseError, DataFormatError):
        return None
    if section.type.value == "instruction":
        return [tuple(turn["content"] for turn in row["messages"]) for row in rows]
    return [(row["prompt"], row["chosen"], row["rejected"]) for row in rows]

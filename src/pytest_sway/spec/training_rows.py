"""Rows that an adapter was trained on, as they lie in a data set: they are a document's sections.

:func:`taught` lists the forms. A dialogue is read whole: its last answer that was trained is asked, behind
all the turns before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sway.document import QA, Section, Triple
from pytest_sway.regular_files import read_regular
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.problems import Problem, SpecError
from pytest_sway.spec.row_forms import MARKS, ToolExample, taught
from pytest_sway.spec.row_turns import RowError
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import describe

SUFFIXES = (".jsonl", ".ndjson")
MAX_BYTES = 64 * 1024 * 1024
_SECTION_FIELDS = ("kind", "content", "probes", "preferences")


def is_training_row(entry: object) -> bool:
    """Whether an entry of ``sections:`` is a row of a data set rather than a section."""
    return (
        isinstance(entry, dict)
        and any(mark in entry for mark in MARKS)
        and not any(field in entry for field in _SECTION_FIELDS)
    )


def read_json_lines(path: Path, key: str) -> Source:
    """A file of one JSON object a line, as the mapping with a list under ``key``.

    Raises:
        SpecError: no file, too large, no Unicode, a line that is no JSON object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            limit = f"{size / 1e6:.1f} MB; use a sample of at most {MAX_BYTES // 1024 // 1024} MiB"
            raise SpecError(path, [Problem(f"the file is too large: {limit}")])
        text = decode(path, read_regular(path, MAX_BYTES))
    except OSError as error:
        raise SpecError(path, [Problem(f"cannot be read: {error.strerror}")]) from None
    rows: list[Any] = []
    source = Source(path, {key: rows})
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            source.values[key, len(rows)] = (number, 1)
            rows.append(_json_object(path, number, line))
    if not rows:
        raise SpecError(path, [Problem("the file is empty; it must contain one JSON object per line", 1, 1)])
    return source


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpecError(path, [Problem(f"not JSON: {error}", number, 1)]) from None
    if not isinstance(value, dict):
        raise SpecError(path, [Problem(f"found {describe(value)}, expected a JSON object", number, 1)])
    return value


def sections_of_rows(
    source: Source, key: str, rows: Sequence[Any], name: str
) -> tuple[list[Section], list[Problem]]:
    """The sections that rows make up: by their ``section``, else all of them under ``name``.

    Answers and preferences are sections of their own, and so is each text. A repeated row counts once.
    """
    pairs: dict[str, dict[QA, None]] = {}
    triples: dict[str, dict[Triple, None]] = {}
    texts: dict[str, dict[str, None]] = {}
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        try:
            section = _section_name(row, name)
            found = taught(row)
            if isinstance(found, ToolExample):
                raise RowError(
                    "the answer calls a tool. Use this row as a case of tool_use_fidelity, not as a section"
                )
        except RowError as error:
            problems.append(Problem(f"{key}[{index}]: {error}", *source.locate((key, index))))
            continue
        if isinstance(found, QA):
            pairs.setdefault(section, {})[found] = None
        elif isinstance(found, Triple):
            triples.setdefault(section, {})[found] = None
        else:
            texts.setdefault(section, {})[found.strip()] = None
    return [*_sections(pairs, triples, texts)], problems


def _sections(
    pairs: Mapping[str, Mapping[QA, None]],
    triples: Mapping[str, Mapping[Triple, None]],
    texts: Mapping[str, Mapping[str, None]],
) -> Iterator[Section]:
    for name, answers in pairs.items():
        yield Section(name, "instruction", probes=tuple(answers))
    for name, preferences in triples.items():
        unique = f"{name} preferences" if name in pairs else name
        yield Section(unique, "preference", preferences=tuple(preferences))
    for name, contents in texts.items():
        for number, content in enumerate(contents, start=1):
            yield Section(f"{name} text {number}", "prose", content)


def _section_name(row: Any, name: str) -> str:
    if not isinstance(row, dict):
        raise RowError(f"found {describe(row)}, expected a mapping, like the first row")
    section = row.get("section", name)
    if not isinstance(section, str) or not section:
        raise RowError(f"section: found {describe(section)}, expected a string")
    return section

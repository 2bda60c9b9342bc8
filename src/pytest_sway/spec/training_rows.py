"""Rows that an adapter was trained on, as they lie in a data set: they are a document's sections.

Read are the forms of TRL, Alpaca and ShareGPT: ``messages``; ``conversations``; ``prompt`` and
``completion``; ``question`` and ``answer``; ``instruction``, ``input`` and ``output``; ``prompt``, ``chosen``
and ``rejected``. Of a longer dialogue its first exchange is read, since it stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sway.document import QA, Section, Triple
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.problems import Problem, SpecError
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import describe

SUFFIXES = (".jsonl", ".ndjson")
MAX_BYTES = 64 * 1024 * 1024
_PAIRS = (("prompt", "completion"), ("question", "answer"), ("instruction", "output"))
_MARKS = ("messages", "conversations", "completion", "answer", "output", "rejected")
_SECTION_FIELDS = ("kind", "content", "probes", "preferences")
_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
_EXPECTED = (
    "expected messages:, or prompt: and completion:, question: and answer:, instruction: and output:, or "
    "prompt:, chosen: and rejected:"
)


class RowError(ValueError):
    """A row that says nothing that could be asked; the message says why."""


def is_training_row(entry: object) -> bool:
    """Whether an entry of ``sections:`` is a row of a data set rather than a section."""
    return (
        isinstance(entry, dict)
        and any(mark in entry for mark in _MARKS)
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
            limit = f"{size / 1e6:.1f} MB; give a sample of at most {MAX_BYTES // 1024 // 1024} MiB"
            raise SpecError(path, [Problem(f"the file is too large: {limit}")])
        text = decode(path, path.read_bytes())
    except OSError as error:
        raise SpecError(path, [Problem(f"cannot be read: {error.strerror}")]) from None
    rows: list[Any] = []
    source = Source(path, {key: rows})
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            source.values[key, len(rows)] = (number, 1)
            rows.append(_json_object(path, number, line))
    if not rows:
        raise SpecError(path, [Problem("the file is empty; it needs a JSON object a line", 1, 1)])
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

    Answers and preferences are sections of their own. A repeated row counts once.
    """
    pairs: dict[str, dict[QA, None]] = {}
    triples: dict[str, dict[Triple, None]] = {}
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        try:
            section = _section_name(row, name)
            found = _taught(row)
        except RowError as error:
            problems.append(Problem(f"{key}[{index}]: {error}", *source.locate((key, index))))
            continue
        if isinstance(found, QA):
            pairs.setdefault(section, {})[found] = None
        else:
            triples.setdefault(section, {})[found] = None
    return [*_sections(pairs, triples)], problems


def _sections(
    pairs: Mapping[str, Mapping[QA, None]], triples: Mapping[str, Mapping[Triple, None]]
) -> Iterator[Section]:
    for name, answers in pairs.items():
        yield Section(name, "instruction", probes=tuple(answers))
    for name, preferences in triples.items():
        unique = f"{name} preferences" if name in pairs else name
        yield Section(unique, "preference", preferences=tuple(preferences))


def _section_name(row: Any, name: str) -> str:
    if not isinstance(row, dict):
        raise RowError(f"found {describe(row)}, expected a row as the others are")
    section = row.get("section", name)
    if not isinstance(section, str) or not section:
        raise RowError(f"section: found {describe(section)}, expected a text")
    return section


def _taught(row: Mapping[str, Any]) -> QA | Triple:
    """The question and its answer, or the triple, of a row.

    Raises:
        RowError: it has neither.
    """
    if "chosen" in row and "rejected" in row:
        return _triple(row)
    for field in ("messages", "conversations"):
        if field in row:
            return _first_exchange(field, row[field])
    for asked, answered in _PAIRS:
        if asked in row and answered in row:
            system, question = _prompt(asked, row[asked])
            more = _text("input", row["input"]) if row.get("input") else ""
            question = f"{question}\n\n{more}" if more else question
            return QA(question, _filled(answered, _reply(answered, row[answered])), system)
    raise RowError(f"found the fields {', '.join(map(repr, row)) or 'none'}; {_EXPECTED}")


def _triple(row: Mapping[str, Any]) -> Triple:
    """TRL's preferences, with the prompt apart or at the beginning of both dialogues."""
    if "prompt" in row:
        system, prompt = _prompt("prompt", row["prompt"])
    else:
        before = _first_exchange("chosen", row["chosen"])
        system, prompt = before.system, before.prompt
    if system:
        raise RowError(
            "a preference with a system message cannot be asked yet: remove the message or the row"
        )
    sides = [_filled(field, _reply(field, row[field])) for field in ("chosen", "rejected")]
    return Triple(prompt, *sides)


def _first_exchange(field: str, value: object) -> QA:
    """The first question of a dialogue and its answer."""
    turns = _turns(field, value)
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    if [role for role, _ in turns[:2]] != ["user", "assistant"]:
        roles = ", ".join(role for role, _ in turns) or "no turn"
        raise RowError(f"{field}: found {roles}, expected user and then assistant")
    return QA(_filled(field, turns[0][1]), _filled(field, turns[1][1]), system)


def _prompt(field: str, value: object) -> tuple[str, str]:
    """System message and question of a prompt: a text, or turns that end with the user's only one."""
    if isinstance(value, str):
        return "", _filled(field, value)
    turns = _turns(field, value)
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    if [role for role, _ in turns] != ["user"]:
        roles = ", ".join(role for role, _ in turns) or "no turn"
        raise RowError(f"{field}: found {roles}, expected one turn of the user")
    return system, _filled(field, turns[0][1])


def _reply(field: str, value: object) -> str:
    """What the assistant says last: a text, or the end of a dialogue."""
    if isinstance(value, str):
        return value
    turns = _turns(field, value)
    if not turns or turns[-1][0] != "assistant":
        raise RowError(f"{field}: expected a text, or turns of which the last is the assistant's")
    return turns[-1][1]


def _turns(field: str, value: object) -> list[tuple[str, str]]:
    """(role, text) of each turn, in the names of OpenAI's messages or of ShareGPT's."""
    if not isinstance(value, list):
        raise RowError(f"{field}: found {describe(value)}, expected a list of turns")
    turns = []
    for number, turn in enumerate(value):
        if not isinstance(turn, dict):
            raise RowError(
                f"{field}[{number}]: found {describe(turn)}, expected a turn with role and content"
            )
        role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if role not in _ROLES:
            raise RowError(f"{field}[{number}]: found the role {describe(role)}, expected user or assistant")
        turns.append((_ROLES[role], _text(f"{field}[{number}]", text)))
    return turns


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RowError(f"{field}: found {describe(value)}, expected a text")
    return value


def _filled(field: str, text: str) -> str:
    if not text.strip():
        raise RowError(f"{field}: the text is empty")
    return text

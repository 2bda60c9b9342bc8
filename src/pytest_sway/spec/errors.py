"""Problems of a spec: all of a file's in one message, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pytest_sway.text.message_parts import describe, did_you_mean

Path_ = tuple[str | int, ...]
_MOST = 25


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec; ``line`` and ``column`` count from 1, 0 where there is no place."""

    message: str
    line: int = 0
    column: int = 0


class SpecError(Exception):
    """A spec cannot be used; the message lists every problem that was found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda p: (p.line, p.column, p.message))
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [
            f"{self.path.name}:{p.line}:{p.column}: {p.message}"
            if p.line
            else f"{self.path.name}: {p.message}"
            for p in self.problems[:_MOST]
        ]
        if len(self.problems) > _MOST:
            lines.append(f"… and {len(self.problems) - _MOST} more")
        return "\n".join(lines)


E = TypeVar("E", bound=Mapping[str, Any])


def mistakes(entries: Sequence[E]) -> list[E]:
    """The entries of ``ValidationError.errors()``, each mistake once.

    A required key under another name is one mistake, and a list of wrong items is not too short as well.
    """
    missing = [entry["loc"] for entry in entries if entry["type"] == "missing"]
    misspelt = {
        (*where[:-1], *difflib.get_close_matches(str(where[-1]), [str(m[-1]) for m in missing], n=1))
        for where in (entry["loc"] for entry in entries if entry["type"] == "extra_forbidden")
    }
    return [
        entry
        for entry in entries
        if not (entry["type"] == "missing" and entry["loc"] in misspelt)
        and not (entry["type"] == "too_short" and len(entry["input"]) >= entry["ctx"]["min_length"])
    ]


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a number with fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number ≥ {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number ≤ {le:g}",
    "string_too_short": "a text that is not empty",
    "string_too_long": "a text of at most {max_length} characters",
}
"""What is expected, by pydantic's kind of error; its context fills the braces."""


def explain(error: Mapping[str, Any], allowed: Iterable[str], written: str | None = None) -> str:
    """One pydantic error as: field, what was found, what to write.

    Args:
        error: an entry of ``ValidationError.errors()``.
        allowed: names of the fields beside the one at fault, for "did you mean".
        written: what stands in the file, where YAML reads something else than text.
    """
    kind, where, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx", {})
    name = str(where[-1]) if where else ""
    found = f"found {written or describe(value)}"
    if kind == "extra_forbidden":
        names = sorted(allowed)
        listed = f"; allowed: {', '.join(names)}" if names else ""
        return f"unknown key {name!r}{did_you_mean(name, names)}{listed}"
    if kind == "missing":
        return "is missing, and required"
    if kind == "string_type":
        return no_text(value, written)
    if kind == "too_short" and isinstance(value, str):  # of a text that has a validator of its own
        return f"{found}, expected {_EXPECTED['string_too_short']}"
    if kind == "too_short":
        return f"{found}, give at least {context['min_length']}"
    if kind == "too_long":
        return f"{found}, give at most {context['max_length']}"
    if kind == "literal_error":
        return f"{found}, allowed: {context['expected'].replace(' or ', ', ')}"
    if kind == "value_error":
        return f"{found}: {str(error['msg']).removeprefix('Value error, ')}"
    expected = _EXPECTED.get(kind, str(error["msg"]).removeprefix("Input should be "))
    return f"{found}, expected {expected.format_map(context) if kind in _EXPECTED else expected}"


def no_text(value: Any, written: str | None) -> str:
    """What stands where a text should."""
    if isinstance(value, dict):
        return f"found {describe(value)}, a mapping: a text with a colon in it needs quotes"
    if written == "":
        return "found nothing, expected a text; write one, or remove the entry"
    if written is None:
        return f"found {describe(value)}, expected a text"
    if written == str(value) and isinstance(value, int | float) and not isinstance(value, bool):
        return f"found {written}, a number, and expected a text: quote it, {written!r}"
    return f"found {written}, which YAML reads as {read_as(value)}: quote it, {written!r}"


def read_as(value: Any) -> str:
    """What YAML made of an unquoted word, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a date" if isinstance(value, date) else f"a value of type {type(value).__name__}"

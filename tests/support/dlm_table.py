"""The table of ``docs/dlm-sway-specs.md``, and which of its rows explain why a spec is refused."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pytest_sway.items.suite import load_suite
from pytest_sway.spec.problems import SpecError

PAGE = Path(__file__).parents[2] / "docs" / "dlm-sway-specs.md"
VALIDATE = Path(__file__).parents[1] / "spec" / "dlm" / "validate.py"
_ROW = re.compile(r"\| `(?P<field>[^`]+)` \| (?P<accepts>[^|]+) \| `(?P<message>[^`]+)` \| (?P<why>[^|]+) \|")
_PLACE = re.compile(r"^sway\.yaml(:\d+:\d+)?: ")
_FIELD = re.compile(r"^(?P<field>[a-z_]+[\w\[\].]*)(:| is missing| missing)")
_ENTRY = re.compile(r"^suite\[(\d+)\]\.?")


class TableRow(NamedTuple):
    """One kind of spec that dlm-sway accepts and pytest-sway refuses."""

    field: str
    message: str


def rows() -> list[TableRow]:
    """The rows of the page's first table."""
    page = PAGE.read_text(encoding="utf-8").split("## Accepted, with a note")[0]
    return [TableRow(found["field"], found["message"]) for found in _ROW.finditer(page)]


def field_of(line: str, text: str) -> str:
    """The field that a message is about, as the table writes it: an entry by its kind, no positions."""
    found = _FIELD.match(_PLACE.sub("", line))
    if found is None:
        return "suite" if "null_adapter" in line else "file"
    field = found["field"]
    if entry := _ENTRY.match(field):
        kind = str(yaml.safe_load(text)["suite"][int(entry[1])]["kind"])
        field = f"{kind}.{_ENTRY.sub('', field)}".rstrip(".")
    return re.sub(r"\[\d+\]", "", field)


def refusals(folder: Path, text: str) -> list[str]:
    """What pytest-sway says of a spec; empty where it accepts it."""
    path = folder / "sway.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_suite(path)
    except SpecError as error:
        return str(error).splitlines()
    return []


def explained_by(line: str, text: str, table: Sequence[TableRow]) -> list[TableRow]:
    """The rows that are about this message."""
    field = field_of(line, text)
    return [row for row in table if row.message in line and fnmatchcase(field, row.field)]


def accepted_by_dlm_sway(python: str, texts: Sequence[str]) -> list[bool]:
    """The verdict of dlm-sway's own validator on each, from an interpreter that has it."""
    asked = "".join(f"{dumps(text)}\n" for text in texts)
    done = subprocess.run([python, VALIDATE], input=asked, capture_output=True, text=True, check=True)
    found: list[Any] = [loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(texts), done.stderr
    return found

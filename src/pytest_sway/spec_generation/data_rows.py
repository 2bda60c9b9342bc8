"""Rows of a training file, one after the other: JSON lines, JSON, Arrow, Parquet, plain text, Markdown.

A file of JSON lines, Arrow or Parquet is never read whole.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.regular_files import limited_lines, open_regular, read_regular
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.training_rows import is_training_row
from pytest_sway.spec_generation.arrow_rows import ARROW_SUFFIXES, SPLITS, read_arrow, read_dataset_folder
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.passages import cut_passages
from pytest_sway.text.message_parts import describe

_LINES = (".jsonl", ".ndjson")
_TEXTS = (".txt", ".md", ".markdown", ".rst", ".text")
_WHOLE_BYTES = 256 * 1024 * 1024
"""Largest file that is read whole."""
_MOST_DEPTH = 30
"""Of lists and objects in a row; a spec may have 40, a few of them around the row's."""


@dataclass(frozen=True)
class DataRow:
    """A row and where it stands.

    Attributes:
        location: ``line 7``, ``row 7``, as a part of a sentence.
        value: as the file holds it; of a text a ``text``, and a ``section`` where a heading names one.
    """

    location: str
    value: Any


def read_rows(path: Path, *, held_out: bool = False) -> Iterator[DataRow]:
    """The rows of a file, or of a folder that ``datasets`` wrote.

    Args:
        path: of the file or folder.
        held_out: which split is read where there are several: that for tests, or that for training.

    Raises:
        DataError: it cannot be read, or a row is nested too deeply for a spec.
    """
    for row in _rows(path, held_out):
        if _is_deeper(row.value, _MOST_DEPTH):
            raise DataError(
                f"{path}: {row.location} is nested deeper than {_MOST_DEPTH} levels, which no spec can hold; "
                "shorten or remove it"
            )
        yield row


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _rows(path: Path, held_out: bool) -> Iterator[DataRow]:
    if path.is_dir():
        yield from _numbered(read_dataset_folder(path, held_out=held_out))
    elif not path.is_file():
        raise DataError(f"file {path} does not exist; pass the training data of the adapter")
    elif path.suffix in ARROW_SUFFIXES:
        yield from _numbered(read_arrow(path))
    elif path.suffix in _LINES:
        yield from _json_lines(path)
    elif path.suffix == ".json":
        yield from _json_file(path, held_out)
    elif path.suffix in _TEXTS:
        yield from _numbered(cut_passages(_whole_text(path), is_markdown=path.suffix.startswith(".m")))
    else:
        known = ", ".join((*_LINES, ".json", *ARROW_SUFFIXES, *_TEXTS))
        raise DataError(
            f"{path}: file type {path.suffix or '(no suffix)'} is not supported; supported: {known}"
        )


def _numbered(values: Iterator[Any]) -> Iterator[DataRow]:
    for number, value in enumerate(values, start=1):
        yield DataRow(f"row {number}", value)


def _json_lines(path: Path) -> Iterator[DataRow]:
    """One JSON value a line; a file with another Unicode encoding's mark is read whole."""
    with open_regular(path) as file:
        first = file.read(4)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        lines: Iterator[str] = iter(_whole_text(path).split("\n"))
    else:
        lines = _utf8_lines(path)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield DataRow(f"line {number}", _json_value(path, line, number))


def _utf8_lines(path: Path) -> Iterator[str]:
    with open_regular(path) as file:
        for number, raw in enumerate(limited_lines(file, path), start=1):
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{path}:{number}: the line is not UTF-8; save the file as UTF-8") from None


def _json_value(path: Path, text: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{number}: not JSON: {error}") from None


def _json_file(path: Path, held_out: bool) -> Iterator[DataRow]:
    """A list of rows, or a mapping in which one list of rows stands; also JSON lines under that name."""
    text = _whole_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines[:2]):
            yield from _json_lines(path)
            return
        raise DataError(f"{path}: not JSON: {error}") from None
    if isinstance(value, dict):
        value = _list_in(value, SPLITS[held_out])
    if not isinstance(value, list):
        raise DataError(f"{path}: found {describe(value)}, expected a list of rows")
    yield from _numbered(iter(value))


def _list_in(value: dict[str, Any], splits: tuple[str, ...]) -> Any:
    """The list under a split's name or under ``data``, or the only one; else the mapping itself."""
    if is_training_row(value):  # a file of one row
        return [value]
    lists = {name: rows for name, rows in value.items() if isinstance(rows, list)}
    for name in (*splits, "data"):
        if name in lists:
            return lists[name]
    return next(iter(lists.values())) if len(lists) == 1 else value


def _whole_text(path: Path) -> str:
    if path.stat().st_size > _WHOLE_BYTES:
        raise DataError(
            f"{path} is too large ({path.stat().st_size / 1e6:.0f} MB); convert it to JSON lines, which are "
            "read line by line"
        )
    try:
        return decode(path, read_regular(path, _WHOLE_BYTES))
    except SpecError as error:
        raise DataError(str(error)) from None

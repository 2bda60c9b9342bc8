"""Text in the columns of a terminal: how wide it is, padded, folded, cut, and in letters it can show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from pytest_sway.user_error import steers_terminal

_ASCII = {
    "█": "#", "░": ".", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#",
    "σ": " ", "—": "-", "–": "-", "…": "~", "•": "*", "×": "x", "≥": ">", "≤": "<", "∝": "~", "λ": "L",
    "²": "2", "α": "a", "β": "b", "→": ">", "−": "-", "±": "~", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
"""One letter for one, so that columns stay where they are; the σ of a z stands in a column named z."""
_FURTHER = 4
"""Columns that the rest of a folded line is indented by."""
_COMMAND = re.compile(r"^(\s*:):", re.MULTILINE)
_OLD_COMMAND = "##["
"""GitHub's runner executes lines of a log that begin with ``::``, and lines that contain ``##[`` anywhere."""


def clean(text: str) -> str:
    """On one line and without what would steer the terminal."""
    return without_control_characters(" ".join(text.split()))


def without_control_characters(text: str) -> str:
    """Without what would steer the terminal."""
    if text.isprintable():
        return text
    return "".join("?" if steers_terminal(char) else char for char in text)


def log_lines(text: str) -> str:
    """Lines for a terminal or a log, each as wide as before: nothing in them steers it or is a command.

    GitHub's runner reads commands (``::error::``, ``::add-mask::``, ``##[group]``) in what a step writes.
    """
    kept = text
    if not text.replace("\n", "").isprintable():
        kept = "\n".join(map(without_control_characters, text.split("\n")))
    return _COMMAND.sub(r"\1 ", kept).replace(_OLD_COMMAND, "##(")


def transliterate(text: str, encoding: str) -> str:
    """``text`` in letters that ``encoding`` has; what has no like is a question mark."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_transliterated_character(char, encoding) for char in text)
    return text


def _transliterated_character(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return _ASCII.get(char, "?" * _columns(char))
    return char


def width(text: str) -> int:
    """Columns that a terminal gives it."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, columns: int, right: bool = False) -> str:
    """Filled up with spaces; one that is wider stays as it is."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def keep_end(text: str, columns: int) -> str:
    """Its end, where it is too wide: of a path or a name the end tells more than the beginning."""
    if width(text) <= columns:
        return text
    start, taken = len(text), 0
    while start and taken + _columns(text[start - 1]) <= columns - 1:
        start -= 1
        taken += _columns(text[start])
    return "…" + text[start:]


def shorten(text: str, columns: int) -> str:
    """Its beginning, on one line, where it is too wide."""
    text = clean(text)
    return text if width(text) <= columns else fold(text, columns - 1)[0] + "…"


def fold(text: str, columns: int, first: int | None = None) -> list[str]:
    """Lines of at most that many columns, broken between words, and within a word that is wider.

    Args:
        text: is cleaned.
        columns: of a line.
        first: of the first line, where it has not as many.
    """
    lines: list[str] = []
    space = columns if first is None else first
    for word in clean(text).split(" "):
        if lines and width(lines[-1]) + 1 + width(word) <= space:
            lines[-1] += f" {word}"
            continue
        space = columns if lines else space
        pieces = list(_pieces(word, space))
        space = columns if len(pieces) > 1 else space
        lines += pieces
    return lines


def aligned_row(cells: Sequence[str], widths: Sequence[int], gap: str = "  ") -> str:
    """Cells below those of other rows: the first begins its column, the others end theirs."""
    columns = enumerate(zip(cells, widths, strict=True))
    return gap.join(pad(cell, taken, right=number > 0) for number, (cell, taken) in columns).rstrip()


def fold_indented(line: str, columns: int) -> list[str]:
    """A line that is laid out already: as it is where it fits, else folded, what follows being indented."""
    if width(line) <= columns:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    first, *others = fold(line, columns - _FURTHER, columns - len(indent))
    return [indent + first, *(" " * _FURTHER + other for other in others)]


def _pieces(word: str, columns: int) -> Iterator[str]:
    piece = ""
    for char in word:
        if piece and width(piece) + _columns(char) > columns:
            yield piece
            piece = ""
        piece += char
    yield piece

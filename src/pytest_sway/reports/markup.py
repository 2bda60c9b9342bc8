"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [_row(head), "|".join(["", *rule, ""]), *map(_row, rows)]


def escaped(text: str) -> str:
    """On one line, and nothing in it ends a cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return " ".join(["|", " | ".join(map(escaped, cells)), "|"])

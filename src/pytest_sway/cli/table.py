"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_sway.text.width import clean, pad, width


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their heads, each column as wide as its widest cell."""
    cells = [list(map(clean, row)) for row in (head, *rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(pad(cell, size) for cell, size in zip(row, widths, strict=True)) for row in cells]
    return "".join(f"{line.rstrip()}\n" for line in lines)

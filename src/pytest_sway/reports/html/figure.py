"""What a figure is, and what all figures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_sway.reports.html.escaping import escape_label
from pytest_sway.result import JSON

_LONGEST = 24
"""Characters of a name on an axis; the table below a figure has it whole."""
_ROW = 30
_FRAME = 60


@dataclass(frozen=True)
class Figure:
    """One figure, as plotly's JSON, with its caption and its numbers for who cannot see it.

    A colour is written ``var(--name)``: the page looks it up in its style, so that figures follow dark and
    light. Third-party text is escaped with :func:`~pytest_sway.reports.html.escaping.escape_label`.

    Attributes:
        id: of its element; stable, for links.
        title: its heading.
        caption: what it shows, in sentences.
        traces, layout: plotly's.
        height: in pixels.
        columns, rows: its numbers as a table; no columns where the caption has them all.
    """

    id: str
    title: str
    caption: str
    traces: list[JSON]
    layout: JSON
    height: int
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def names_down(names: Sequence[str]) -> JSON:
    """A vertical axis of names, first on top. By place, not by name: two may be alike, or look like dates."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [escape_label(name, _LONGEST) for name in names],
        "range": [len(names) - 0.5, -0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }


def height_of(rows: int) -> int:
    """Of a figure with so many names down its side."""
    return rows * _ROW + _FRAME


def finite_numbers(value: Any) -> list[float]:
    """The numbers of a list; empty where it is none, or holds something else."""
    if not isinstance(value, list | tuple):
        return []
    found = [item for item in value if isinstance(item, int | float) and not isinstance(item, bool)]
    return [float(item) for item in found] if len(found) == len(value) else []

"""The figures as plotly's JSON, each with its words and its numbers for who cannot see it.

A colour is written ``var(--name)``: the page looks it up in its style, so that figures follow dark and
light. Every text of others goes through :func:`safe.of_label`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_sway.reports import numbers
from pytest_sway.reports.html.safe import of_label
from pytest_sway.result import JSON, SuiteResult
from pytest_sway.statistics.composite import BANDS

_LABEL = 30
_ROW = 30
"""Height of a bar with its label, in pixels."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        id: of its element; stable, for links.
        title: its heading.
        words: what it shows, in sentences.
        traces, layout: plotly's.
        height: in pixels.
        columns, rows: its numbers as a table; no columns where the words tell them all.
    """

    id: str
    title: str
    words: str
    traces: list[JSON]
    layout: JSON
    height: int
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def gauge(suite: SuiteResult) -> Figure:
    """The composite, the bands, and the gate's threshold."""
    overall, threshold = suite.score.overall, suite.gate["threshold"]
    edges = [*BANDS.values(), 1.0]
    names = list(BANDS)
    steps = [
        {"range": [low, high], "color": f"var(--band-{name})"}
        for name, low, high in zip(names, edges, edges[1:], strict=False)
    ]
    dial: JSON = {
        "axis": {"range": [0, 1], "tickvals": edges, "tickformat": ".2f"},
        "bar": {"color": "var(--text)", "thickness": 0.3},
        "bordercolor": "var(--line)",
        "steps": steps,
    }
    words = f"Composite {numbers.score(overall)}"
    if suite.score.band:
        words += f": {suite.score.band}"
    if threshold is not None:
        dial["threshold"] = {"value": threshold, "thickness": 0.9, "line": {"color": "var(--accent)", "width": 4}}
        words += f". The gate wants {numbers.score(threshold)} (the marked line)"
    from_each = ", ".join(f"{name} from {numbers.score(low)}" for name, low in BANDS.items())
    number = {"valueformat": ".2f", "font": {"size": 44}}
    trace = {"type": "indicator", "mode": "gauge+number", "value": overall, "number": number, "gauge": dial}
    return Figure(
        "sway-gauge",
        "Composite",
        f"{words}. Bands: {from_each}; above {numbers.score(SUSPICIOUS)} with a failed leakage, ablation or "
        "pre-run probe: suspicious.",
        [trace],
        {"margin": {"l": 40, "r": 40, "t": 20, "b": 10}},
        210,
    )

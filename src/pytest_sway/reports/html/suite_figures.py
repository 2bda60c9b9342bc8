"""Figures of the suite as a whole: composite, categories, score by z."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pytest_sway.reports import null_text
from pytest_sway.reports.html.escaping import escape_label
from pytest_sway.reports.html.figure import Figure, height_of, names_down
from pytest_sway.reports.suite_text import band_text, factors, weighted_components
from pytest_sway.result import JSON, MEASURED_VERDICTS, ProbeResult, SuiteResult, Verdict
from pytest_sway.suites.composite import BANDS, SUSPICIOUS_ABOVE
from pytest_sway.text import formatting

_SYMBOLS = {
    Verdict.PASS: "circle",
    Verdict.WARN: "diamond",
    Verdict.FAIL: "x",
    Verdict.SKIP: "circle-open",
    Verdict.ERROR: "cross",
}
_SIDES = ("top center", "bottom center")
"""Where a point's name stands, in turns: neighbours' names would cover each other."""
_MOST_NAMED = 15
"""More points than this carry no names: they would cover each other."""


def gauge(suite: SuiteResult) -> Figure | None:
    """The composite, the bands, and the gate's threshold; None where nothing was measured."""
    if not any(probe.verdict in MEASURED_VERDICTS for probe in suite.probes):
        return None
    overall, threshold = suite.score.overall, suite.gate.threshold
    edges = [*BANDS.values(), 1.0]
    dial: JSON = {
        "axis": {"range": [0, 1], "tickvals": edges, "tickformat": ".2f"},
        "bar": {"color": "var(--text)", "thickness": 0.3},
        "bordercolor": "var(--line)",
        "steps": [
            {"range": [low, high], "color": f"var(--band-{name})"}
            for name, (low, high) in zip(BANDS, pairwise(edges), strict=True)
        ],
    }
    caption = f"Composite {formatting.score(overall)}"
    if suite.score.band:
        caption += f": {band_text(suite)}"
    if comparison := null_text.composite_comparison(suite.null_summary):
        caption += f" ({comparison})"
    if threshold is not None:
        line = {"color": "var(--accent)", "width": 4}
        dial["threshold"] = {"value": threshold, "thickness": 0.9, "line": line}
        caption += f". The gate needs at least {formatting.score(threshold)} (the line across the dial)"
    bands = ", ".join(f"{name} from {formatting.score(low)}" for name, low in BANDS.items())
    bands = bands.replace("noise", "low")
    suspicious = f"suspicious above {formatting.score(SUSPICIOUS_ABOVE)} if a probe for damage failed"
    number = {"valueformat": ".2f", "font": {"size": 40}}
    return Figure(
        "sway-gauge",
        "Composite",
        f"{caption}. Bands: {bands}; {suspicious}.",
        [{"type": "indicator", "mode": "gauge+number", "value": overall, "number": number, "gauge": dial}],
        {"margin": {"l": 40, "r": 40, "t": 24, "b": 12}},
        height=210,
    )


def categories(suite: SuiteResult) -> Figure | None:
    """The categories that count, with their weights; None where there are none."""
    score = suite.score
    counted = dict(weighted_components(score))
    if not counted:
        return None
    weights = [score.weights.get(name) for name in counted]
    made_of = factors(score) or "The composite score is the weighted mean of the categories"
    caption = f"The score of a category is the mean of its probes' scores. {made_of[0].upper()}{made_of[1:]}"
    labels = [
        f"{name}, weight {formatting.score(weight)}" for name, weight in zip(counted, weights, strict=True)
    ]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": list(counted.values()),
        "y": list(range(len(counted))),
        "text": [formatting.score(value) for value in counted.values()],
        "hovertemplate": "%{text}<extra></extra>",
        "textposition": "outside",
        "marker": {"color": "var(--bar)"},
    }
    return Figure(
        "sway-category",
        "Categories",
        f"{caption}.",
        [bars],
        {
            "xaxis": {"range": [0, 1.15], "tickvals": [0, 0.5, 1]},
            "yaxis": names_down(labels),
            "bargap": 0.4,
        },
        height_of(len(counted)),
        ("category", "score", "weight"),
        [
            (name, formatting.score(value), formatting.score(weight))
            for (name, value), weight in zip(counted.items(), weights, strict=True)
        ],
    )


def score_by_z(probes: Sequence[ProbeResult]) -> Figure | None:
    """Each probe's score and z; those without a z are named apart, never placed at 0."""
    scored = [probe for probe in probes if probe.score is not None]
    placed = [probe for probe in scored if probe.z_score is not None]
    if not placed:
        return None
    apart = [f"{p.name} ({formatting.score(p.score)})" for p in scored if p.z_score is None]
    caption = (
        "Vertical: the score. Horizontal: how clearly the effect is beyond random adapters; "
        "a z of at least 3 is clear."
    )
    if apart:
        caption += (
            f" These probes (with their scores) are not drawn because they have no z: {', '.join(apart)}."
        )
    along = sorted(placed, key=lambda probe: probe.z_score or 0.0)
    present = [verdict for verdict in Verdict if any(probe.verdict is verdict for probe in placed)]
    return Figure(
        "sway-scatter",
        "Score by z",
        caption,
        [
            _points([p for p in along if p.verdict is verdict], verdict, named=len(placed) <= _MOST_NAMED)
            for verdict in present
        ],
        {
            "xaxis": {"title": {"text": "z: distance from random adapters, in σ"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "score"}, "range": [-0.12, 1.12], "tickvals": [0, 0.5, 1]},
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        },
        height=380,
        columns=("probe", "verdict", "score", "z"),
        rows=[(p.name, p.verdict.value, formatting.score(p.score), formatting.z(p.z_score)) for p in placed],
    )


def _points(probes: Sequence[ProbeResult], verdict: Verdict, *, named: bool) -> JSON:
    names = [escape_label(probe.name) for probe in probes]
    points: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers+text" if named else "markers",
        "name": verdict.value,
        "x": [probe.z_score for probe in probes],
        "y": [probe.score for probe in probes],
        "text": [escape_label(probe.name, 20) for probe in probes] if named else names,
        "customdata": [
            [name, f"{formatting.z(probe.z_score)}, score {formatting.score(probe.score)}"]
            for name, probe in zip(names, probes, strict=True)
        ],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        "textposition": [_SIDES[place % len(_SIDES)] for place in range(len(probes))],
        "textfont": {"size": 11},
        "cliponaxis": False,
        "marker": {"symbol": _SYMBOLS[verdict], "size": 11, "color": f"var(--{verdict.value})"},
    }
    return points

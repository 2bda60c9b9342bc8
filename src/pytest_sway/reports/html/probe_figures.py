"""Figures of single probes, from what their evidence says: sections, curves, null distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_sway.reports import null_text
from pytest_sway.reports.html.escaping import escape_label
from pytest_sway.reports.html.figure import Figure, finite_numbers, height_of, names_down
from pytest_sway.result import JSON, Claim, NullComparison, ProbeResult, null_adapters
from pytest_sway.text import formatting

SectionRow = dict[str, Any]
_MOST_TICKS = 6
_MOST_POINTS = 8
"""A curve of no more points has its ticks where they are."""
_GOLDEN = 0.618
"""Multiples of it, less their whole part, spread points evenly: none covers its neighbour."""


def sections(probes: Sequence[ProbeResult]) -> list[Figure]:
    """Section by section: what was learned (``sway-sis``) and what is recited (``sway-recall``)."""
    return _all_figures(probes, [_learned_sections, _recited_sections])


def curves(probes: Sequence[ProbeResult]) -> list[Figure]:
    """A divergence along an axis: strength (``sway-ablation``), context, turns."""
    return _all_figures(probes, [curve.draw for curve in _CURVES])


def null_distributions(probes: Sequence[ProbeResult]) -> list[Figure]:
    """What each null adapter gave, and where the adapter stands."""
    return _all_figures(probes, [_distribution])


def _all_figures(
    probes: Sequence[ProbeResult], draws: Sequence[Callable[[ProbeResult], Figure | None]]
) -> list[Figure]:
    """Every figure for which there are numbers; the second of an id has ``-2`` added, and so on."""
    figures: list[Figure] = []
    count: dict[str, int] = {}
    for figure in (draw(probe) for draw in draws for probe in probes):
        if figure is not None:
            count[figure.id] = number = count.get(figure.id, 0) + 1
            figures.append(replace(figure, id=f"{figure.id}-{number}") if number > 1 else figure)
    return figures


def _rows(probe: ProbeResult, key: str) -> list[SectionRow]:
    """The sections of a probe that have the number ``key``."""
    rows = probe.evidence.get("per_section")
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and finite_numbers([row.get(key)])]


def _learned_sections(probe: ProbeResult) -> Figure | None:
    rows = _rows(probe, "effective_sis")
    if not rows:
        return None
    names, values = [str(row.get("section_id", "")) for row in rows], [row["effective_sis"] for row in rows]
    ends = [_pair(row.get("ci_95")) for row in rows]
    bars = _bars(names, values, "var(--bar)", "relative lift")
    known = [pair for pair in ends if pair is not None]
    if len(known) == len(ends):
        bars["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [high - value for (_, high), value in zip(known, values, strict=True)],
            "arrayminus": [value - low for (low, _), value in zip(known, values, strict=True)],
            "color": "var(--text)",
            "thickness": 1.5,
        }
    threshold = finite_numbers([probe.evidence.get("per_section_threshold")])
    caption = (
        f"{probe.name}: how much more likely the adapter made each section, "
        "compared with text that is not in the training data."
    )
    if threshold:
        caption += f" The line marks the threshold for a learned section: {formatting.raw(threshold[0])}."
    return Figure(
        "sway-sis",
        "What was learned, section by section",
        caption,
        [bars],
        {
            "xaxis": {"title": {"text": "relative lift"}},
            "yaxis": names_down(names),
            "bargap": 0.4,
            "shapes": [_line(value) for value in threshold],
        },
        height_of(len(rows)) + 20,
        ("section", "relative lift", "95 %", "verdict"),
        [
            (name, formatting.raw(value), formatting.interval(pair), _section_verdict(row))
            for name, value, pair, row in zip(names, values, ends, rows, strict=True)
        ],
    )


def _recited_sections(probe: ProbeResult) -> Figure | None:
    rows = [row for row in _rows(probe, "clean_recall") if finite_numbers([row.get("base_recall", 0.0)])]
    if not rows:
        return None
    names = [str(row.get("section_id", "")) for row in rows]
    sides = {
        "adapter": ([row["clean_recall"] for row in rows], "var(--bar)"),
        "base": ([row.get("base_recall", 0.0) for row in rows], "var(--muted)"),
    }
    return Figure(
        "sway-recall",
        "What is recited, section by section",
        f"{probe.name}: how much of a section is recited word for word if the prompt is its beginning.",
        [
            {**_bars(names, values, colour, "recall"), "name": side}
            for side, (values, colour) in sides.items()
        ],
        {
            "xaxis": {"title": {"text": "recall"}, "range": [0, 1]},
            "yaxis": names_down(names),
            "bargap": 0.4,
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        },
        height_of(len(rows)) + 50,
        ("section", "adapter", "base"),
        [
            (name, formatting.raw(tuned), formatting.raw(base))
            for name, tuned, base in zip(names, sides["adapter"][0], sides["base"][0], strict=True)
        ],
    )


def _bars(names: Sequence[str], values: Sequence[float], colour: str, what: str) -> JSON:
    return {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": list(range(len(values))),
        "customdata": [
            [escape_label(name), formatting.raw(v)] for name, v in zip(names, values, strict=True)
        ],
        "hovertemplate": f"%{{customdata[0]}}<br>{what} %{{customdata[1]}}<extra></extra>",
        "marker": {"color": colour},
    }


def _pair(value: Any) -> list[float] | None:
    ends = finite_numbers(value)
    return ends if len(ends) == 2 else None


def _section_verdict(row: SectionRow) -> str:
    """A section's verdict; dlm-sway says only whether it passed."""
    verdict, passed = row.get("verdict"), row.get("passed")
    if isinstance(verdict, str):
        return verdict
    return formatting.DASH if passed is None else "passed" if passed else "not passed"


def _line(x: float) -> JSON:
    """Upright, over the whole height."""
    line = {"color": "var(--accent)", "width": 2, "dash": "dash"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


@dataclass(frozen=True)
class _Curve:
    """Where the evidence has it, and what its axes are called; ``mark`` is a place to mark on x."""

    id: str
    title: str
    along: str
    values: str
    axis: str
    mark: float | None = None

    def draw(self, probe: ProbeResult) -> Figure | None:
        """The curve of a probe; None where its evidence holds no such."""
        x, y = (finite_numbers(probe.evidence.get(key)) for key in (self.along, self.values))
        if len(x) != len(y) or len(x) < 2:
            return None
        caption = f"{probe.name}: {probe.message}"
        if probe.ci_95 is not None:
            caption += (
                f". Raw value {formatting.raw(probe.raw)}, 95 % interval {formatting.interval(probe.ci_95)}"
            )
        if self.mark is not None:
            caption += ". The line marks the adapter at full strength (λ = 1)"
        ticks = {"tickvals": x} if len(x) <= _MOST_POINTS else {}
        points: JSON = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": y,
            "text": [formatting.raw(value) for value in y],
            "hovertemplate": f"{self.axis} %{{x}}<br>%{{text}} nats<extra></extra>",
            "line": {"color": "var(--bar)", "width": 2},
            "marker": {"color": "var(--bar)", "size": 9},
            "cliponaxis": False,
        }
        return Figure(
            self.id,
            self.title,
            f"{caption}.",
            [points],
            {
                "xaxis": {"title": {"text": self.axis}, **ticks},
                "yaxis": {"title": {"text": "divergence, nats"}, "rangemode": "tozero"},
                "shapes": [_line(self.mark)] if self.mark is not None else [],
            },
            height=300,
            columns=(self.axis, "divergence, nats"),
            rows=[(f"{at:g}", formatting.raw(value)) for at, value in zip(x, y, strict=True)],
        )


_CURVES = (
    _Curve(
        "sway-ablation",
        "Effect by the adapter's strength",
        "lambdas",
        "mean_divergence_per_lambda",
        "strength λ",
        mark=1.0,
    ),
    _Curve(
        "sway-collapse",
        "Effect behind a growing context",
        "true_tokens_per_length",
        "mean_divergence_per_length",
        "tokens before the prompt",
    ),
    _Curve("sway-turns", "Effect from turn to turn", "turns_axis", "per_turn_kls", "turn"),
)


def _distribution(probe: ProbeResult) -> Figure | None:
    null = probe.null
    draws = finite_numbers(null.draws) if null is not None else []
    if null is None or not draws:
        return None
    own = _own_statistic(probe, null)
    values = [*draws, *([own] if own is not None else [])]
    log = null.scale != "raw" and min(values) > 0
    points = _strip(draws, [f"null {number}" for number in range(1, len(draws) + 1)], "circle-open", 9)
    points["y"] = [(number * _GOLDEN) % 1 - 0.5 for number in range(len(draws))]
    points["marker"]["color"] = "var(--muted)"
    traces = [points]
    if own is not None:
        mark = _strip([own], ["the adapter"], "diamond", 15)
        traces.append({**mark, "marker": {**mark["marker"], "color": "var(--accent)"}})
    axis: JSON = {"type": "log", **_ticks(values)} if log else {"nticks": 6}
    return Figure(
        "sway-null",
        probe.name,
        _caption(probe, null, own),
        traces,
        {
            "xaxis": {**axis, "zeroline": False},
            "yaxis": {"range": [-1, 1], "visible": False},
            "margin": {"l": 16, "r": 16, "t": 8, "b": 32},
        },
        height=110,
        columns=("who", "value"),
        rows=[*_own_row(own), *((f"null {n}", formatting.raw(value)) for n, value in enumerate(draws, 1))],
    )


def _own_statistic(probe: ProbeResult, null: NullComparison) -> float | None:
    """The adapter's statistic; where that is not ``raw``, only its ratio to the nulls' mean is known."""
    if probe.claim is not Claim.SHAPE and "null_statistic" not in probe.evidence:
        return probe.raw
    if null.ratio is None or null.mean is None:
        return None
    own = float(null.ratio * null.mean)
    return own if math.isfinite(own) else None


def _own_row(own: float | None) -> Iterator[tuple[str, str]]:
    if own is not None:
        yield "the adapter", formatting.raw(own)


def _strip(values: Sequence[float], names: Sequence[str], symbol: str, size: int) -> JSON:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(values),
        "y": [0.0] * len(values),
        "text": [f"{name}: {formatting.raw(value)}" for name, value in zip(names, values, strict=True)],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": symbol, "size": size},
        "cliponaxis": False,
    }


def _ticks(values: Sequence[float]) -> JSON:
    """1, 2, 5, 10 … over a logarithmic axis: plotly's own leave the powers out."""
    low, high = min(values), max(values)
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [float(f"{step}e{power}") for power in tens for step in steps]
        inside = [tick for tick in ticks if low / 1.5 <= tick <= high * 1.5]
        if 2 <= len(inside) <= _MOST_TICKS:
            return {"tickvals": inside, "ticktext": [f"{tick:g}" for tick in inside]}
    return {}


def _caption(probe: ProbeResult, null: NullComparison, own: float | None) -> str:
    """The distribution in sentences: where the adapter stands, mean and spread, z or why there is none."""
    nulls = f"{null.n} {null_adapters(null.family)}"
    stands = null_text.probe_sentence(probe) or f"its signal, against {nulls}"
    z = f"z {formatting.z(null.z)}" if null.z is not None else f"no z, {null.reason}"
    known = {"the adapter": own, "mean of the null adapters": null.mean, "standard deviation": null.std}
    figures = ", ".join(
        f"{name} {formatting.raw(value)}" for name, value in known.items() if value is not None
    )
    return ". ".join(f"{text[0].upper()}{text[1:]}" for text in (f"{stands}; {z}", figures) if text) + "."

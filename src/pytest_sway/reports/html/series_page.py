"""Pages of several results: saved ones over time, and the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.reports import comparison_report, ranking_report
from pytest_sway.reports.html import page_parts
from pytest_sway.reports.html.document import Section, document, plotly_script
from pytest_sway.reports.html.escaping import escape_html, escape_label
from pytest_sway.reports.html.figure import Figure
from pytest_sway.result import JSON
from pytest_sway.suites.comparison_matrix import CompareMatrix, build_matrix
from pytest_sway.suites.ranking import Ranking
from pytest_sway.text import formatting

_HEIGHT = 380
_SCORES: JSON = {"range": [-0.05, 1.05], "tickvals": [0, 0.5, 1]}
"""A vertical axis of scores."""


def comparison_page(matrix: CompareMatrix, threshold: float | None = None) -> str:
    """The page of saved results side by side.

    Raises:
        ValueError: plotly is not installed.
    """
    lines = comparison_report.sentences(matrix, threshold)
    top = _top("Results side by side", matrix.labels[-1], lines)
    return _page("sway compare (pytest-sway)", top, matrix, None)


def ranking_page(ranking: Ranking) -> str:
    """The page of a run's checkpoints.

    Raises:
        ValueError: plotly is not installed.
    """
    first, *rest = ranking_report.sentences(ranking)
    top = _top("Checkpoints of a run", first, rest)
    matrix = build_matrix(ranking.results, ranking.labels)
    return _page("sway rank (pytest-sway)", top, matrix, ranking)


def _page(title: str, top: str, matrix: CompareMatrix, ranking: Ranking | None) -> str:
    figures = [_composites(matrix, ranking), _scores(matrix)]
    sections: list[Section] = [("series", "Scores", page_parts.figure_group(figures))]
    return document(title, top, sections, figures, plotly_script())


def _top(brand: str, title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape_html(line)}</li>" for line in lines)
    return f'<p class="status none">{escape_html(brand)}</p><h1>{escape_html(title)}</h1><ul>{items}</ul>'


def _composites(matrix: CompareMatrix, ranking: Ranking | None) -> Figure:
    """The composite of each result, marked by its gate; of a run, where harm begins."""
    passed = [result.gate.status == "passed" for result in matrix.results]
    caption = "The composite score of each result. A cross marks a result that did not pass its gate."
    layout: JSON = {"xaxis": _names(matrix.labels), "yaxis": _SCORES}
    if ranking is not None and (begins := ranking.harm_begins) is not None:
        caption += f" Harm begins at {ranking.labels[begins]}, where the shaded area starts."
        layout["shapes"] = [
            {"type": "rect", "xref": "x", "yref": "paper", "x0": begins - 0.5, "x1": len(passed) - 0.5,
             "y0": 0, "y1": 1, "fillcolor": "var(--fail)", "opacity": 0.12, "line": {"width": 0}}
        ]  # fmt: skip
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(len(passed))),
        "y": matrix.composite_series,
        "text": [f"{escape_label(name)}: {formatting.score(y)}" for name, y in _series(matrix)],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": "var(--bar)"},
        "marker": {"size": 10, "symbol": ["circle" if one else "x" for one in passed]},
    }
    rows: list[tuple[str, ...]] = [
        (name, formatting.score(overall), result.gate.status)
        for (name, overall), result in zip(_series(matrix), matrix.results, strict=True)
    ]
    head = ("result", "composite", "gate")
    return Figure("sway-series", "Composite", caption, [line], layout, _HEIGHT, head, rows)


def _scores(matrix: CompareMatrix) -> Figure:
    """Each probe's score over the results."""
    traces: list[JSON] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": escape_label(name),
            "x": list(range(len(matrix.labels))),
            "y": scores,
            "text": [f"{escape_label(name)}: {formatting.score(score)}" for score in scores],
            "hovertemplate": "%{text}<extra></extra>",
        }
        for name, scores in matrix.scores.items()
        if any(score is not None for score in scores)
    ]
    rows = [(name, *map(formatting.score, scores)) for name, scores in matrix.scores.items()]
    return Figure(
        "sway-probes",
        "Probes",
        "The score of each probe. A probe needs at least 0.5 to pass.",
        traces,
        {
            "xaxis": _names(matrix.labels),
            "yaxis": _SCORES,
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        },
        _HEIGHT + 60,
        ("probe", *matrix.labels),
        rows,
    )


def _series(matrix: CompareMatrix) -> list[tuple[str, float]]:
    return list(zip(matrix.labels, matrix.composite_series, strict=True))


def _names(labels: Sequence[str]) -> JSON:
    """A horizontal axis of names, by place: two may be alike, or look like dates."""
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": [escape_label(label, 24) for label in labels],
        "range": [-0.5, len(labels) - 0.5],
        "automargin": True,
    }

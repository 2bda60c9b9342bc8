"""The matrix of saved results as JSON, as lines for a terminal and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_sway.reports.baseline_text import items_sentence, regression_reason
from pytest_sway.reports.json_report import json_text
from pytest_sway.reports.markdown_table import escape, table
from pytest_sway.result import MEASURED_VERDICTS, Verdict
from pytest_sway.suites.changes import is_drop
from pytest_sway.suites.comparison_matrix import CompareMatrix
from pytest_sway.suites.json_conversion import json_value
from pytest_sway.text import formatting
from pytest_sway.text.width import aligned_row, clean, fold, fold_indented, keep_end, pad, width

_MARKS = {Verdict.FAIL: "!", Verdict.WARN: "?"}
_LEGEND = "score: 0.5 is the minimum to pass; ! = fail, ? = warn, — = not in that result"
_LONGEST_NAME = 26
_CELL = 6
_CHANGE = 8
_LABEL = 24
_STAMP = 16
"""Of a time stamp: day, hour and minute."""


def payload(matrix: CompareMatrix, threshold: float | None = None) -> dict[str, Any]:
    """dlm-sway's JSON object, and what we add: ``verdicts``, ``newest``, ``regressions``, ``notes``.

    ``latest_regressions`` holds the probes whose score dropped by the threshold; ``regressions`` all that
    became worse.
    """
    worse = matrix.regressions(threshold)
    content = {
        "labels": list(matrix.labels),
        "timestamps": matrix.timestamps,
        "probe_names": list(matrix.probe_names),
        "scores": matrix.scores,
        "deltas": matrix.deltas,
        "composite_series": matrix.composite_series,
        "regression_threshold": threshold or 0.0,
        "latest_regressions": [
            {"probe": one.name, "delta": one.delta}
            for one in worse
            if one.probe is not None and is_drop(one.delta, threshold or 0.0)
        ],
        "verdicts": matrix.verdicts,
        "newest": [change.comparison for change in matrix.newest],
        "regressions": [
            regression.with_text(text)
            for regression, text in zip(worse, _reasons(matrix, threshold), strict=True)
        ],
        "notes": matrix.notes,
    }
    found: dict[str, Any] = json_value(content)
    return found


def text(matrix: CompareMatrix, threshold: float | None = None) -> str:
    """The payload as a file's content."""
    return json_text(payload(matrix, threshold))


def sentences(matrix: CompareMatrix, threshold: float | None = None) -> list[str]:
    """What changed from the last but one to the last, why else they may differ, and what became worse."""
    lines = [f"{one.name}: {items_sentence(one.items)}" for one in matrix.newest if one.items]
    lines += [f"note: {note}" for note in matrix.notes]
    return [*lines, *(f"regression: {reason}" for reason in _regressions(matrix, threshold))]


def terminal(matrix: CompareMatrix, threshold: float | None = None, columns: int = 80) -> list[str]:
    """Lines for a terminal: the results by number, their scores, what changed last, what became worse.

    No line is wider than ``columns``. Where they do not hold all results, the newest are shown and the rest
    is counted.
    """
    lines = [*_result_lines(matrix), "", *_table_lines(matrix, columns)]
    paired = [f"  {clean(one.name)}: {items_sentence(one.items)}" for one in matrix.newest if one.items]
    lines += ["", "changes of the items that the last two results have in common:", *paired] if paired else []
    lines += [f"note: {clean(note)}" for note in matrix.notes]
    if worse := _regressions(matrix, threshold):
        lines += [
            f"regressions (score drops of {threshold:g} or more, new failures, missing probes):",
            *(f"  - {clean(reason)}" for reason in worse),
        ]
    return [part for line in lines for part in fold_indented(line, columns)]


def markdown(matrix: CompareMatrix, threshold: float | None = None) -> str:
    """The matrix as a Markdown document: a table, the composite's row, and the regressions."""
    intervals = {one.name: items_sentence(one.items) for one in matrix.newest if one.items}
    rows = [[name, *cells, delta, intervals.get(name, "")] for name, cells, delta in _rows(matrix)]
    head = ["probe", *matrix.labels, "change", "items of the last two"]
    lines = ["# sway compare", "", *table(head, rows), "", _LEGEND]
    lines += [f"\nNote: {escape(note)}" for note in matrix.notes]
    if worse := _regressions(matrix, threshold):
        lines += ["", "## Regressions", "", *(f"- {escape(reason)}" for reason in worse)]
    return "\n".join(lines).rstrip() + "\n"


def _result_lines(matrix: CompareMatrix) -> Iterator[str]:
    """A line for each: its number, which stands for it below, and whose it is."""
    series = zip(matrix.labels, matrix.timestamps, matrix.composite_series, strict=True)
    for number, (label, when, overall) in enumerate(series, 1):
        name = pad(keep_end(clean(label), _LABEL), _LABEL)
        stamp = pad(clean(when)[:_STAMP] or "(no date)", _STAMP)
        yield f"{number:>3}  {name}  {stamp}  composite {formatting.score(overall)}"


def _table_lines(matrix: CompareMatrix, columns: int) -> Iterator[str]:
    """The table; a name that is too wide for its column stands whole above its figures."""
    rows = [(clean(name), cells, delta) for name, cells, delta in _rows(matrix)]
    widest = min(_LONGEST_NAME, max(width(name) for name, *_ in rows))
    cell = max(_CELL, *(width(one) for _, cells, _ in rows for one in cells))
    change = max(_CHANGE, *(width(delta) for *_, delta in rows))
    fits = max(1, (columns - widest - 2 - change) // (cell + 1))
    visible = range(len(matrix.results))[-fits:]
    widths = [widest + 2, *(cell for _ in visible), change]
    yield aligned_row(["", *(f"{number + 1}" for number in visible), "change"], widths, " ")
    for name, cells, delta in rows:
        if width(name) > widest:
            yield from (f"  {line}" for line in fold(name, columns - 2))
            name = ""
        yield aligned_row([f"  {name}", *(cells[number] for number in visible), delta], widths, " ")
    left_out = len(matrix.results) - len(visible)
    yield f"  {_LEGEND}"
    if left_out:
        yield f"  {left_out} earlier results are not shown"


def _rows(matrix: CompareMatrix) -> list[tuple[str, list[str], str]]:
    """Name, a cell per result, the newest change; the composite last."""
    verdicts, scores, deltas = matrix.verdicts, matrix.scores, matrix.deltas
    rows = []
    for name in matrix.probe_names:
        cells = [_cell(v, s) for v, s in zip(verdicts[name], scores[name], strict=True)]
        delta = deltas[name][-1] if deltas[name] else None
        rows.append((name, cells, formatting.change(delta)))
    composites = [formatting.score(overall) + " " for overall in matrix.composite_series]
    return [*rows, ("composite", composites, formatting.change(matrix.composite_change))]


def _cell(verdict: Verdict | None, score: float | None) -> str:
    if verdict is None:
        return f"{formatting.DASH} "
    if verdict not in MEASURED_VERDICTS:
        return verdict
    return formatting.score(score) + _MARKS.get(verdict, " ")


def _regressions(matrix: CompareMatrix, threshold: float | None) -> list[str]:
    """The regressions in words; nothing without a threshold."""
    if not threshold or threshold <= 0:
        return []
    return _reasons(matrix, threshold) or ["none"]


def _reasons(matrix: CompareMatrix, threshold: float | None) -> list[str]:
    return [
        regression_reason(one, threshold or 0.0, *matrix.results[-2:])
        for one in matrix.regressions(threshold)
    ]

"""Saved results side by side, in the order given: scores, what changed, what became worse. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pytest_sway.reports import baseline_changes as words
from pytest_sway.reports.json_report import document
from pytest_sway.reports.markdown_table import escaped, table
from pytest_sway.result import MEASURED_VERDICTS, SuiteResult, Verdict, json_value
from pytest_sway.suites import changes
from pytest_sway.suites.changes import ProbeChange, Regression
from pytest_sway.suites.comparability import notes
from pytest_sway.text import formatting
from pytest_sway.text.width import clean, cut, fold, padded, row, width, within

_MARKS = {Verdict.FAIL: "!", Verdict.WARN: "?"}
_LEGEND = "! fail, ? warn, — not in that result"
_LONGEST_NAME = 26
_CELL = 6
_CHANGE = 8
_LABEL = 24
_STAMP = 16
"""Of a time stamp: day, hour and minute."""


@dataclass(frozen=True)
class CompareMatrix:
    """N results of a suite, oldest first.

    Attributes:
        labels: what each is called.
        results: as they were read.
        probe_names: sorted union.
        newest: the changes of the last two; none where there is one result.
    """

    labels: tuple[str, ...]
    results: tuple[SuiteResult, ...]
    probe_names: tuple[str, ...]
    newest: tuple[ProbeChange, ...]

    @property
    def timestamps(self) -> list[str]:
        """When each was finished, as it says."""
        return [result.finished_at for result in self.results]

    @property
    def scores(self) -> dict[str, list[float | None]]:
        """Each probe's scores; None where a result has none."""
        return {name: [_of(one, name, "score") for one in self.results] for name in self.probe_names}

    @property
    def verdicts(self) -> dict[str, list[str | None]]:
        """Each probe's verdicts; None where a result does not have the probe."""
        return {name: [_of(one, name, "verdict") for one in self.results] for name in self.probe_names}

    @property
    def deltas(self) -> dict[str, list[float | None]]:
        """Each probe's changes from result to result, one fewer.

        None where one of the two has no score, or is of another kind: it measures something else.
        """
        return {name: [_delta(*two, name) for two in pairwise(self.results)] for name in self.probe_names}

    @property
    def composite_series(self) -> list[float]:
        """The composites."""
        return [result.score.overall for result in self.results]

    @property
    def composite_change(self) -> float | None:
        """Of the last two; None where there is one, or where one is of a partial run."""
        if len(self.results) < 2:
            return None
        return changes.composite_delta(*self.results[-2:])


def build_matrix(results: Sequence[SuiteResult], labels: Sequence[str]) -> CompareMatrix:
    """The results side by side.

    Args:
        results: at least one, in the order to be shown, the newest last; ours and dlm-sway's.
        labels: one per result, e.g. :func:`pytest_sway.text.paths.stems` of their files.

    Raises:
        ValueError: for no result, or labels that are not one each.
    """
    if not results or len(results) != len(labels):
        raise ValueError(f"{len(labels)} labels for {len(results)} results: one each, and at least one")
    names = {probe.name for result in results for probe in result.probes}
    newest = changes.changes(*results[-2:]) if len(results) > 1 else []
    return CompareMatrix(tuple(labels), tuple(results), tuple(sorted(names)), tuple(newest))


def regressions(matrix: CompareMatrix, threshold: float | None) -> list[Regression]:
    """What became worse between the last two; nothing without a threshold, or with one of 0.

    What a partial newest result left out has not vanished; the rest is as in a run against its baseline.
    """
    partial = matrix.results[-1].gate.get("status") == "partial"
    found = [one for one in matrix.newest if not partial or one.now is not None]
    return changes.regressions(found, matrix.composite_change, threshold)


def payload(matrix: CompareMatrix, threshold: float | None = None) -> dict[str, Any]:
    """The contract's JSON object, and what we add: ``verdicts``, ``newest``, ``regressions``, ``notes``.

    ``latest_regressions`` holds the probes whose score dropped by the threshold; ``regressions`` all that
    became worse.
    """
    worse = regressions(matrix, threshold)
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
            if one.probe is not None and changes.dropped(one.delta, threshold or 0.0)
        ],
        "verdicts": matrix.verdicts,
        "newest": [one.to_wire() for one in matrix.newest],
        "regressions": [
            {**one.to_wire(), "text": text}
            for one, text in zip(worse, _reasons(matrix, threshold), strict=True)
        ],
        "notes": _notes(matrix),
    }
    found: dict[str, Any] = json_value(content)
    return found


def text(matrix: CompareMatrix, threshold: float | None = None) -> str:
    """The payload as a file's content."""
    return document(payload(matrix, threshold))


def terminal(matrix: CompareMatrix, threshold: float | None = None, columns: int = 80) -> list[str]:
    """Lines for a terminal: the results by number, their scores, what changed last, what became worse.

    No line is wider than ``columns``. Where they do not hold all results, the newest are shown and the rest
    is counted.
    """
    lines = [*_results(matrix), "", *_figures(matrix, columns)]
    paired = [
        f"  {clean(one.name)}: {words.of_items(one.items.to_wire())}" for one in matrix.newest if one.items
    ]
    lines += ["", "paired, from the last but one to the last:", *paired] if paired else []
    lines += [f"note: {clean(note)}" for note in _notes(matrix)]
    if told := _told(matrix, threshold):
        lines += [f"regressions, from a drop of {threshold:g}:", *(f"  - {clean(reason)}" for reason in told)]
    return [part for line in lines for part in within(line, columns)]


def markdown(matrix: CompareMatrix, threshold: float | None = None) -> str:
    """The matrix as a Markdown document: a table, the composite's row, and the regressions."""
    intervals = {one.name: words.of_items(one.items.to_wire()) for one in matrix.newest if one.items}
    rows = [[name, *cells, delta, intervals.get(name, "")] for name, cells, delta in _rows(matrix)]
    head = ["probe", *matrix.labels, "change", "items of the last two"]
    lines = ["# sway compare", "", *table(head, rows), "", _LEGEND]
    lines += [f"\nNote: {escaped(note)}" for note in _notes(matrix)]
    if told := _told(matrix, threshold):
        lines += ["", "## Regressions", "", *(f"- {escaped(reason)}" for reason in told)]
    return "\n".join(lines).rstrip() + "\n"


def _results(matrix: CompareMatrix) -> Iterator[str]:
    """A line for each: its number, which stands for it below, and whose it is."""
    series = zip(matrix.labels, matrix.timestamps, matrix.composite_series, strict=True)
    for number, (label, when, overall) in enumerate(series, 1):
        name = padded(cut(clean(label), _LABEL), _LABEL)
        stamp = padded(clean(when)[:_STAMP] or "(no date)", _STAMP)
        yield f"{number:>3}  {name}  {stamp}  composite {formatting.score(overall)}"


def _figures(matrix: CompareMatrix, columns: int) -> Iterator[str]:
    """The table; a name that is too wide for its column stands whole above its figures."""
    rows = [(clean(name), cells, delta) for name, cells, delta in _rows(matrix)]
    widest = min(_LONGEST_NAME, max(width(name) for name, *_ in rows))
    cell = max(_CELL, *(width(one) for _, cells, _ in rows for one in cells))
    change = max(_CHANGE, *(width(delta) for *_, delta in rows))
    fits = max(1, (columns - widest - 2 - change) // (cell + 1))
    shown = range(len(matrix.results))[-fits:]
    widths = [widest + 2, *(cell for _ in shown), change]
    yield row(["", *(f"{number + 1}" for number in shown), "change"], widths, " ")
    for name, cells, delta in rows:
        if width(name) > widest:
            yield from (f"  {line}" for line in fold(name, columns - 2))
            name = ""
        yield row([f"  {name}", *(cells[number] for number in shown), delta], widths, " ")
    left_out = len(matrix.results) - len(shown)
    yield f"  {_LEGEND}" + (f"; {left_out} earlier ones not shown" if left_out else "")


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


def _cell(verdict: str | None, score: float | None) -> str:
    if verdict is None:
        return f"{formatting.DASH} "
    if verdict not in MEASURED_VERDICTS:
        return verdict
    return formatting.score(score) + _MARKS.get(Verdict(verdict), " ")


def _told(matrix: CompareMatrix, threshold: float | None) -> list[str]:
    """The regressions in words; nothing without a threshold."""
    if not threshold or threshold <= 0:
        return []
    return _reasons(matrix, threshold) or ["none"]


def _reasons(matrix: CompareMatrix, threshold: float | None) -> list[str]:
    return [
        words.reason(one, threshold or 0.0, *matrix.results[-2:]) for one in regressions(matrix, threshold)
    ]


def _notes(matrix: CompareMatrix) -> list[str]:
    if len(matrix.results) < 2:
        return []
    then, now = matrix.results[-2:]
    return notes(then, now, list(matrix.newest))


def _of(result: SuiteResult, name: str, field: str) -> Any:
    return next((getattr(probe, field) for probe in result.probes if probe.name == name), None)


def _delta(then: SuiteResult, now: SuiteResult, name: str) -> float | None:
    before, after = (_of(one, name, "score") for one in (then, now))
    if before is None or after is None or _of(then, name, "kind") != _of(now, name, "kind"):
        return None
    return float(after - before)

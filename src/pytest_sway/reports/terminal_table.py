"""One row per probe, as a table where the width allows it, else with a word before every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_sway.reports import null_text
from pytest_sway.result import NullStatistics, ProbeResult, SuiteResult, Verdict
from pytest_sway.text import formatting
from pytest_sway.text.width import clean, fold, pad, width

COLOURS: Mapping[Verdict, tuple[str, ...]] = {
    Verdict.PASS: ("green",),
    Verdict.WARN: ("yellow",),
    Verdict.FAIL: ("red",),
    Verdict.SKIP: ("yellow",),
    Verdict.ERROR: ("red", "bold"),
}
_HEADINGS = ("probe", "score", "raw", "95 %", "z", "n", "time")
_ALWAYS = ("probe", "score", "raw", "time")
"""Columns that stay where all their cells are empty."""
_VERDICT = 6
"""Columns of the verdict, with the space behind it."""
_NAME = 12
"""A table with less than this for names is none."""
_BESIDE = 48
"""Columns that a note needs to stand beside its row."""


@dataclass(frozen=True)
class Span:
    """A piece of a line, and pytest's names for how it looks."""

    text: str
    markup: tuple[str, ...] = ()


Line = tuple[Span, ...]


def probe_rows(suite: SuiteResult, columns: int, notes: Sequence[Sequence[str]]) -> Iterator[Line]:
    """The probes, each with its notes: beside it where there is space, else below it, indented.

    Args:
        suite: whose probes.
        columns: width of every line at most.
        notes: texts per probe, in order.
    """
    cells = [cells_of(probe, suite.null_stats) for probe in suite.probes]
    widths = _widths(cells)
    space = columns - _VERDICT - sum(1 + taken for name, taken in widths.items() if name != "probe")
    if widths["probe"] + len(widths) - 1 <= space:  # then a second blank fits between columns
        space -= len(widths) - 1
        widths = {name: taken + (name != "probe") for name, taken in widths.items()}
    table = zip(suite.probes, cells, notes, strict=True)
    if widths["probe"] > space < _NAME:
        for probe, row, texts in table:
            yield from _stacked_row(probe, row, texts, columns)
        return
    free = space - widths["probe"] - 2
    widths["probe"] = min(widths["probe"], space)
    if cells:
        yield (Span(" " * _VERDICT + _row({name: name for name in widths}, widths), ("bold",)),)
    for probe, row, texts in table:
        beside = _fold_all(texts, free) if free >= _BESIDE else []
        yield from _table_row(probe, row, widths, beside[:1])
        below = beside[1:] if beside else _fold_all(texts, columns - _VERDICT)
        indent = " " * (columns - free if beside else _VERDICT)
        yield from ((Span(indent + line, markup_of(probe)),) for line in below)


def _widths(cells: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Columns by heading; one without a figure is left out."""
    names = [name for name in _HEADINGS if name in _ALWAYS or any(c[name] != formatting.DASH for c in cells)]
    return {name: max([width(name), *(width(c[name]) for c in cells)]) for name in names}


def cells_of(probe: ProbeResult, null_stats: Mapping[str, NullStatistics]) -> dict[str, str]:
    """A probe's cells by heading, as every surface writes them; ``null_stats`` as the suite has them."""
    n = null_text.null_count(probe, null_stats)
    return {
        "probe": clean(probe.name),
        "score": formatting.score(probe.score),
        "raw": formatting.raw(probe.raw),
        "95 %": formatting.interval(probe.ci_95),
        "z": formatting.z(probe.z_score),
        "n": formatting.DASH if n is None else f"{n:g}",
        "time": formatting.duration(probe.duration_s),
    }


def cells_as_line(cells: Mapping[str, str]) -> str:
    """The figures in one line, each behind its name."""
    names = [name for name in _HEADINGS[1:] if name in _ALWAYS or cells[name] != formatting.DASH]
    return ", ".join(f"{name} {cells[name]}" for name in names)


def markup_of(probe: ProbeResult) -> tuple[str, ...]:
    """What passed steps back behind what did not."""
    return ("light",) if probe.verdict is Verdict.PASS else ()


def _table_row(
    probe: ProbeResult, cells: Mapping[str, str], widths: Mapping[str, int], beside: Sequence[str]
) -> Iterator[Line]:
    """The row; a name that is too wide for its column stands on a line of its own above the figures."""
    indent = Span(" " * _VERDICT)
    verdict = _verdict(probe)
    if width(cells["probe"]) > widths["probe"]:
        for line in fold(cells["probe"], sum(widths.values()) + len(widths) - 1):
            yield verdict, Span(line)
            verdict = indent
        cells = {**cells, "probe": ""}
    yield verdict, Span(_row(cells, widths)), *(Span(f"  {line}", markup_of(probe)) for line in beside)


def _row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    return " ".join(pad(cells[name], columns, right=name != "probe") for name, columns in widths.items())


def _stacked_row(
    probe: ProbeResult, cells: Mapping[str, str], texts: Sequence[str], columns: int
) -> Iterator[Line]:
    """Name, figures and notes below each other."""
    space = columns - _VERDICT
    indent = Span(" " * _VERDICT)
    verdict = _verdict(probe)
    for line in fold(cells["probe"], space):
        yield verdict, Span(line)
        verdict = indent
    yield from ((indent, Span(line)) for line in fold(cells_as_line(cells), space))
    yield from ((indent, Span(line, markup_of(probe))) for line in _fold_all(texts, space))


def _verdict(probe: ProbeResult) -> Span:
    return Span(pad(probe.verdict.upper(), _VERDICT), COLOURS[probe.verdict])


def _fold_all(texts: Sequence[str], columns: int) -> list[str]:
    return [line for text in texts for line in fold(text, columns)]

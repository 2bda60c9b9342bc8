"""What a trace says: where the time went, by probe and by view; how much was known; the slowest requests."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_sway.regular_files import limited_lines, open_regular
from pytest_sway.reports.json_report import json_text
from pytest_sway.reports.markdown_table import table
from pytest_sway.suites.json_conversion import json_value
from pytest_sway.text import formatting
from pytest_sway.text.width import aligned_row, clean, fold_indented, keep_end, width
from pytest_sway.user_error import UserError

UNASSIGNED = "<unassigned>"
"""Stands for what no probe asked, and for a view that a line does not name."""
SLOWEST = 10
_MOST = 10
"""Rows of a table for readers; the JSON has all."""


class TraceError(UserError):
    """A file that cannot be read; the message names it, what was found, and what is wanted."""


class EmptyTraceError(TraceError):
    """A file without a single event."""


@dataclass(frozen=True)
class TraceEvent:
    """One line: a request under one view. Fields that a line lacks have these values."""

    ts: float | None = None
    probe: str | None = None
    view_id: str = UNASSIGNED
    prompt_hash: str = ""
    top_k: int = 0
    op: str = ""
    wall_ms: float = 0.0
    hit: bool = False


@dataclass(frozen=True)
class Share:
    """What one probe or one view took."""

    name: str
    n_events: int
    total_ms: float
    cache_hits: int

    @property
    def cache_misses(self) -> int:
        """Events that were not known already."""
        return self.n_events - self.cache_hits

    @property
    def hit_rate(self) -> float:
        """Share of the events that were known already."""
        return self.cache_hits / self.n_events


@dataclass(frozen=True)
class TraceReport:
    """A trace, summed.

    Attributes:
        total: of all events.
        per_probe: the costliest first.
        per_view: the costliest first.
        slowest: the slowest events, the slowest first.
        malformed: lines that are no event.
    """

    total: Share
    per_probe: tuple[Share, ...]
    per_view: tuple[Share, ...]
    slowest: tuple[TraceEvent, ...]
    malformed: int


def read_trace(path: str | Path, slowest: int = SLOWEST) -> TraceReport:
    """A file that ``--sway-trace`` (or dlm-sway's ``--trace``) wrote; its lines are not kept in memory.

    Raises:
        TraceError: it cannot be read.
        EmptyTraceError: it holds no event.
    """
    try:
        with open_regular(Path(path), or_pipe=True) as file:
            report = sum_trace(limited_lines(file, Path(path)), slowest)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name that no file can have
        raise TraceError(f"{path} cannot be read: {error}") from None
    if not report.total.n_events:
        broken = f"none of its {report.malformed} lines is a trace event"
        fault = broken if report.malformed else "the file is empty"
        raise EmptyTraceError(f"{path}: {fault}. Give a file that --sway-trace wrote")
    return report


def sum_trace(lines: Iterable[bytes], slowest: int = SLOWEST) -> TraceReport:
    """The lines of a trace; empty ones are passed over, those that are no event counted.

    Args:
        lines: one JSON object each.
        slowest: how many events to keep.
    """
    probes: dict[str, Share] = {}
    views: dict[str, Share] = {}
    total, malformed = Share("", 0, 0.0, 0), 0
    top: list[tuple[float, int, TraceEvent]] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        event = _event(line)
        if event is None:
            malformed += 1
            continue
        total = _add_event(total, event)
        for shares, name in ((probes, event.probe or UNASSIGNED), (views, event.view_id)):
            shares[name] = _add_event(shares.get(name, Share(name, 0, 0.0, 0)), event)
        heapq.heappush(top, (event.wall_ms, -number, event))  # of equals the first stays
        if len(top) > max(0, slowest):
            heapq.heappop(top)
    return TraceReport(
        total=total,
        per_probe=_by_cost(probes),
        per_view=_by_cost(views),
        slowest=tuple(event for *_, event in sorted(top, reverse=True)),
        malformed=malformed,
    )


def payload(report: TraceReport) -> dict[str, Any]:
    """dlm-sway's JSON object, and ``malformed``."""
    per_probe = [
        {
            "probe": share.name,
            "n_events": share.n_events,
            "total_ms": share.total_ms,
            "cache_hits": share.cache_hits,
            "cache_misses": share.cache_misses,
            "hit_rate": share.hit_rate,
        }
        for share in report.per_probe
    ]
    per_view = [
        {"view_id": share.name, "n_events": share.n_events, "total_ms": share.total_ms}
        for share in report.per_view
    ]
    content = {
        "total_events": report.total.n_events,
        "total_wall_ms": report.total.total_ms,
        "overall_hit_rate": report.total.hit_rate if report.total.n_events else 0.0,
        "per_probe": per_probe,
        "per_view": per_view,
        "slowest": [asdict(event) for event in report.slowest],
        "malformed": report.malformed,
    }
    found: dict[str, Any] = json_value(content)
    return found


def text(report: TraceReport) -> str:
    """The payload as a file's content."""
    return json_text(payload(report))


def terminal(report: TraceReport, columns: int = 80) -> list[str]:
    """Lines for a terminal, none wider than ``columns``; of names that they do not hold the end is shown."""
    lines = [_headline(report)]
    for head, rows in _tables(report):
        cells = [[clean(cell) for cell in one] for one in (head, *rows)]
        widths = _widths(cells, columns - 2)
        fitted = ([keep_end(cell, space) for cell, space in zip(one, widths, strict=True)] for one in cells)
        lines += ["", *("  " + aligned_row(one, widths) for one in fitted)]
    return [part for line in lines for part in fold_indented(line, columns)]


def markdown(report: TraceReport) -> str:
    """The same as a Markdown document."""
    lines = ["# sway trace", "", _headline(report)]
    for head, rows in _tables(report):
        lines += ["", *table(head, rows)]
    return "\n".join(lines) + "\n"


def _event(line: bytes) -> TraceEvent | None:
    """None for what is no JSON object, names no field of an event, or gives one of another type."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    known = {name: found[name] for name in _TYPES if found.get(name) is not None}
    if not known or not all(_fits(known[name], _TYPES[name]) for name in known):
        return None
    return TraceEvent(**known)


_TYPES: dict[str, tuple[type, ...]] = {
    "ts": (int, float),
    "probe": (str,),
    "view_id": (str,),
    "prompt_hash": (str,),
    "top_k": (int,),
    "op": (str,),
    "wall_ms": (int, float),
    "hit": (bool,),
}


def _fits(value: Any, types: tuple[type, ...]) -> bool:
    return type(value) in types and (not isinstance(value, int | float) or _is_double(value))


def _is_double(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _add_event(share: Share, event: TraceEvent) -> Share:
    return Share(share.name, share.n_events + 1, share.total_ms + event.wall_ms, share.cache_hits + event.hit)


def _by_cost(shares: dict[str, Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares.values(), key=lambda share: -share.total_ms))


def _headline(report: TraceReport) -> str:
    total = report.total
    known = (
        f"{formatting.percent(total.hit_rate)} from the cache" if total.n_events else "none from the cache"
    )
    broken = f"; {report.malformed} lines are not valid events" if report.malformed else ""
    return f"{total.n_events:,} events, {formatting.duration(total.total_ms / 1000)}, {known}{broken}"


def _tables(report: TraceReport) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Probes, views, slowest events; the first column is text."""
    for name, shares in (("probe", report.per_probe), ("view", report.per_view)):
        yield [name, "events", "time", "known"], [_row(share) for share in _most_costly(shares)]
    slowest = [
        [
            event.probe or UNASSIGNED,
            event.view_id,
            event.op,
            event.prompt_hash,
            formatting.raw(event.wall_ms),
            "yes" if event.hit else "no",
        ]
        for event in report.slowest
    ]
    if slowest:
        yield ["slowest: probe", "view", "asked", "prompt", "ms", "known"], slowest


def _most_costly(shares: Sequence[Share]) -> list[Share]:
    """The costliest, and the others in one: 20 null adapters need no line each."""
    first, others = list(shares[:_MOST]), shares[_MOST:]
    if len(others) < 2:
        return [*first, *others]
    events, hits = sum(share.n_events for share in others), sum(share.cache_hits for share in others)
    return [*first, Share(f"{len(others)} more", events, sum(share.total_ms for share in others), hits)]


def _row(share: Share) -> list[str]:
    time = formatting.duration(share.total_ms / 1000)
    return [share.name, f"{share.n_events:,}", time, formatting.percent(share.hit_rate)]


def _widths(cells: Sequence[Sequence[str]], columns: int) -> list[int]:
    """Of each column, two apart; where not all fit, the widest give way, but not to less than their heads."""
    wanted = [max(map(width, column)) for column in zip(*cells, strict=True)]
    space = columns - 2 * (len(wanted) - 1)
    most = min(space, max(wanted))

    def fitted() -> list[int]:
        return [min(taken, max(most, width(head))) for taken, head in zip(wanted, cells[0], strict=True)]

    while most > 1 and sum(fitted()) > space:
        most -= 1
    return fitted()

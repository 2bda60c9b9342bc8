"""What a watch says: one line or one JSON object for each event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pytest_sway.result import ProbeResult
from pytest_sway.text.paths import tail
from pytest_sway.watch.trend import Comparison, Trend


class EventKind(StrEnum):
    """What happened."""

    WATCHING = "watching"
    EVALUATING = "evaluating"
    EVALUATED = "evaluated"
    ERROR = "error"
    CHANGED = "changed"
    """An adapter changed, or was deleted, while it was evaluated."""
    INCOMPLETE = "incomplete"
    SAME = "same"
    """An adapter is one that was evaluated already."""
    SPEC = "spec"
    ON_FAIL = "on_fail"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Outcome:
    """A result that was written.

    Attributes:
        verdict: pass, fail or error.
        composite: the composite score; None where there is none.
        reason: why it failed; empty where it did not.
        seconds: how long the evaluation took.
        sequence, file: of the result in the history.
        trend: beside earlier results; None for an error.
    """

    verdict: str
    composite: float | None
    reason: str
    seconds: float
    sequence: int
    file: str
    trend: Trend | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: what.
        adapter: the adapter's folder; empty where none is meant.
        message: the rest of the line.
        outcome: of an adapter that was evaluated.
    """

    kind: EventKind
    adapter: str = ""
    message: str = ""
    outcome: Outcome | None = field(default=None)


def text_line(event: Event, now: datetime) -> str:
    """The event in one line."""
    said = event.message if event.outcome is None else _outcome_text(event.outcome, event.message)
    subject = f"{tail(event.adapter)}: " if event.adapter else ""
    return f"{now:%H:%M:%S} {' '.join(f'{subject}{said}'.split())}"


def json_line(event: Event, now: datetime) -> str:
    """The event as a JSON object."""
    found: dict[str, Any] = {"event": str(event.kind), "time": now.isoformat()}
    found |= {name: value for name in ("adapter", "message") if (value := getattr(event, name))}
    if event.outcome is not None:
        found |= _outcome_fields(event.outcome)
    return json.dumps(found, ensure_ascii=False)


def _outcome_text(outcome: Outcome, error: str) -> str:
    end = f"{outcome.seconds:.0f} s, {outcome.file}"
    if outcome.verdict == "error":
        return f"#{outcome.sequence} ERROR: {error}; {end}"
    parts = [f"composite {outcome.composite:.2f}"] if outcome.composite is not None else []
    parts += _trend_parts(outcome.trend) if outcome.trend is not None else ()
    reason = f" ({outcome.reason})" if outcome.reason else ""
    return f"#{outcome.sequence} {outcome.verdict.upper()}{reason}: {'; '.join([*parts, end])}"


def _trend_parts(trend: Trend) -> Iterator[str]:
    last, first = trend.last, trend.first
    if last is None:
        return
    if last.composite is not None:
        yield f"{last.composite:+.2f} since #{last.sequence}"
    if first is not None and first.sequence != last.sequence and first.composite is not None:
        yield f"{first.composite:+.2f} since #{first.sequence}"
    verdicts = [(probe.name, _verdict(probe.then), _verdict(probe.now)) for probe in last.probes]
    if changed := [
        f"{name} {then or 'absent'} → {now or 'absent'}" for name, then, now in verdicts if then != now
    ]:
        yield ", ".join(changed)


def _verdict(probe: ProbeResult | None) -> str | None:
    return None if probe is None else probe.verdict.value


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        "verdict": outcome.verdict,
        "composite": outcome.composite,
        "reason": outcome.reason,
        "seconds": outcome.seconds,
        "sequence": outcome.sequence,
        "result": outcome.file,
    }
    if outcome.trend is not None:
        found["since_last"] = _comparison_fields(outcome.trend.last)
        found["since_first"] = _comparison_fields(outcome.trend.first)
    return found


def _comparison_fields(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    probes = [
        {
            "name": one.name,
            "then": _verdict(one.then),
            "now": _verdict(one.now),
            "score_delta": one.score_delta,
        }
        for one in comparison.probes
    ]
    return {
        "sequence": comparison.sequence,
        "adapter": comparison.adapter,
        "composite": comparison.composite,
        "probes": probes,
    }

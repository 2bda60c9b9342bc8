"""Runs of the daemon: what was asked, where it stands, what came out."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED})


@dataclass
class Run:
    """One run.

    Attributes:
        id: names it.
        spec: text of its spec, for the worker.
        probes: names of the entries that are measured; empty for all.
        label: what it is called in lists.
        state: where it stands.
        created: seconds since 1970.
        seconds: how long it was measured.
        result: schema 1, once it is done.
        error: why it failed.
        status: HTTP's, where it failed: 400 for the spec, 503 for the worker, 504 for the time.
        events: what happened, in order; each a JSON object with ``event``.
    """

    spec: str
    probes: tuple[str, ...] = ()
    label: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: RunState = RunState.QUEUED
    created: float = field(default_factory=time.time)
    started: float = 0.0
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    error: str = ""
    status: int = 400
    events: list[dict[str, Any]] = field(default_factory=list)
    cancel_asked: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def end(self, state: RunState, error: str = "", status: int = 400) -> None:
        """Note that it is over."""
        self.error, self.status = error, status
        self.seconds = time.monotonic() - self.started if self.started else 0.0
        self.events.append({"event": str(state), "error": error} if error else {"event": str(state)})
        self.state = state  # last: whoever waits for the end finds everything there

    def summary(self) -> dict[str, Any]:
        """Without the result."""
        return {
            "id": self.id,
            "state": str(self.state),
            "label": self.label,
            "created": self.created,
            "seconds": self.seconds,
            "error": self.error,
        }


class RunHistory:
    """The runs that are remembered: all that are not over, and the last of those that are.

    Args:
        most: of those that are over.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def add(self, run: Run) -> None:
        """Remember a run; the oldest that are over are forgotten."""
        self._runs[run.id] = run
        over = [one.id for one in self._runs.values() if one.is_over]
        for name in over[: max(0, len(over) - self._most)]:
            del self._runs[name]

    def find(self, name: str) -> Run | None:
        """The run of an id."""
        return self._runs.get(name)

    def newest_first(self) -> list[Run]:
        """All of them."""
        return list(reversed(self._runs.values()))

"""A watch in this process: real folders, a clock that tests turn, and an evaluation that reads the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.watch.adapter_folders import adapter_digest
from pytest_sway.watch.evaluation import Evaluation
from pytest_sway.watch.events import Event, EventKind
from pytest_sway.watch.history import History
from pytest_sway.watch.on_fail import OnFail
from pytest_sway.watch.sources import AdapterSource
from pytest_sway.watch.watched_spec import WatchedSpec
from pytest_sway.watch.watcher import Watched, Watcher

DURING = Callable[[Path], None]


def result(adapter: Path, overall: float = 0.5, verdict: str = "pass") -> dict[str, Any]:
    """The JSON of an evaluation."""
    probe = {"name": "moved", "kind": "delta_kl", "verdict": verdict, "score": overall}
    return {
        "schema_version": 1,
        "adapter_id": str(adapter),
        "score": {"overall": overall, "band": "x"},
        "gate": {"status": "passed", "threshold": 0.6, "reasons": []},
        "probes": [probe],
    }


@dataclass
class WatchRun:
    """A watch, what it evaluated and what it said.

    Attributes:
        evaluated: each folder, with the digest of what was there.
        verdicts: of the evaluations to come; then all pass.
        during: is called while an adapter is evaluated.
    """

    watcher: Watcher
    history: History
    said: list[Event]
    time: list[float]
    evaluated: list[tuple[Path, str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    during: DURING | None = None
    measured: Path | None = None
    """What a result says that it is of, where that is another folder."""

    def turn(self, seconds: float = 0.3, steps: int = 1) -> None:
        """Let time pass, and look."""
        for _ in range(steps):
            self.time[0] += seconds
            self.watcher.step()

    def settle(self) -> None:
        """Let everything that is complete be evaluated."""
        self.turn(2.0, 40)

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.said]

    def evaluate(self, folder: Path) -> Evaluation:
        json.loads((folder / "adapter_config.json").read_text())
        self.evaluated.append((folder, adapter_digest(folder)))
        if self.during is not None:
            self.during(folder)
        verdict = self.verdicts.pop(0) if self.verdicts else "pass"
        if verdict == "error":
            return Evaluation(1.0, None, "out of memory")
        reason = "failed: moved" if verdict == "fail" else ""
        return Evaluation(1.0, result(self.measured or folder, verdict=verdict), reason=reason)


WatchRuns = Callable[..., WatchRun]


@pytest.fixture
def watch_run(tmp_path: Path) -> WatchRuns:
    """Makes a watch of a source or a spec."""

    def make(
        source: AdapterSource | None = None,
        *,
        spec: WatchedSpec | None = None,
        most: int = 0,
        on_fail: OnFail | None = None,
    ) -> WatchRun:
        said, time = list[Event](), [0.0]
        history = History(tmp_path / "history", "watched", most)
        holder: list[WatchRun] = []
        watched = Watched(
            source, spec, lambda folder: holder[0].evaluate(folder), history, said.append, on_fail
        )
        holder.append(WatchRun(Watcher(watched, lambda: time[0]), history, said, time))
        return holder[0]

    return make

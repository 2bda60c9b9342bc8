"""The loop of a watch: look, evaluate what is ready, write and say what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.result import SuiteResult
from pytest_sway.suites.saved_results import SavedResultError, parse_saved_result, read_saved_result
from pytest_sway.watch.adapter_folders import Files, adapter_digest, files_of
from pytest_sway.watch.evaluation import Evaluation
from pytest_sway.watch.events import Event, EventKind, Outcome
from pytest_sway.watch.history import Entry, History
from pytest_sway.watch.on_fail import OnFail
from pytest_sway.watch.pending import PendingAdapters
from pytest_sway.watch.sources import AdapterSource, SourceError
from pytest_sway.watch.trend import Evaluated, TrendKeeper
from pytest_sway.watch.watched_spec import WatchedSpec

SETTLE_S = 1.0
"""How long the files of an adapter must be unchanged."""
PATIENCE_S = 30.0
"""After so long what is incomplete is reported."""
LOOK_S = 2.0
"""How often the folders are looked at where no event says that something changed."""
SOON_S = 0.2
"""The same while something may become ready."""


@dataclass(frozen=True)
class Watched:
    """What is watched, and what to do with it.

    Attributes:
        source: where adapters appear, without a spec.
        spec: what they are evaluated with; None for ``sway check``.
        evaluate: evaluates a folder.
        history: keeps the results.
        say: takes each event.
        on_fail: is run where an adapter failed.
    """

    source: AdapterSource | None
    spec: WatchedSpec | None
    evaluate: Callable[[Path], Evaluation]
    history: History
    say: Callable[[Event], None]
    on_fail: OnFail | None = None


class Watcher:
    """Evaluates one adapter after another.

    Args:
        watched: what, and how.
        clock: seconds that never go back.
    """

    def __init__(self, watched: Watched, clock: Callable[[], float] = time.monotonic) -> None:
        self._watched = watched
        self._pending = PendingAdapters(SETTLE_S, PATIENCE_S, clock)
        self._trend = TrendKeeper(_earlier(watched.history))
        self._clock = clock
        self._fault, self._fault_since, self._fault_is_said = "", 0.0, False
        self._errors: set[tuple[Path, str]] = set()
        self._is_held = False
        self._unwritten: tuple[Path, str, Evaluation] | None = None

    @property
    def source(self) -> AdapterSource:
        """Where adapters appear at present."""
        spec = self._watched.spec
        found = spec.source if spec is not None else self._watched.source
        assert found is not None  # one of the two is given
        return found

    @property
    def places(self) -> set[Path]:
        """Folders in which something changes when an adapter does: those of the last look among them."""
        return self.source.places() | self._pending.folders

    def step(self) -> float:
        """Evaluate one adapter at most; seconds until the next look."""
        self._read_spec()
        if self._is_held or not self._write_again():
            return LOOK_S
        try:
            self._pending.scan(self.source.folders())
        except SourceError as error:
            self._note_fault(str(error))
            return LOOK_S
        self._note_fault("")
        for folder, reason in self._pending.overdue():
            self._say(EventKind.INCOMPLETE, folder, f"not evaluated: {reason}")
        ready = self._pending.next_ready()
        if ready is not None and self._deal_with(*ready):
            return 0.0
        return SOON_S if self._pending.is_waiting() else LOOK_S

    def _read_spec(self) -> None:
        spec = self._watched.spec
        try:
            if spec is not None and spec.is_edited():
                self._say(
                    EventKind.SPEC,
                    None,
                    f"{spec.path} was edited; the new version is used from the next adapter on",
                )
                self._pending.open_again(folder for folder, _ in self._errors)
                self._errors.clear()
                self._is_held = False
        except SourceError as error:
            self._is_held = True
            self._say(EventKind.SPEC, None, f"{error}; nothing is evaluated until this is fixed")

    def _note_fault(self, fault: str) -> None:
        """Say a fault of the source that stays, once: a pointer may be half written."""
        if fault != self._fault:
            self._fault, self._fault_since, self._fault_is_said = fault, self._clock(), False
        elif fault and not self._fault_is_said and self._clock() - self._fault_since >= PATIENCE_S:
            self._fault_is_said = True
            self._say(EventKind.INCOMPLETE, None, fault)

    def _deal_with(self, folder: Path, files: Files) -> bool:
        """Evaluate an adapter, if it is a new one; whether there may be more to do at once."""
        try:
            digest = adapter_digest(folder)
        except OSError as error:
            self._pending.cannot_read(folder, f"the adapter cannot be read: {error.strerror or error}")
            return False
        earlier = self._watched.history.find(digest)
        if earlier is not None or (folder, digest) in self._errors:
            self._pending.dealt_with(folder, files)
            if earlier is not None and earlier.adapter != str(folder):
                self._say(
                    EventKind.SAME,
                    folder,
                    f"not evaluated, because the same adapter was already evaluated as #{earlier.sequence}",
                )
            return True
        self._say(EventKind.EVALUATING, folder, "evaluating")
        found = self._watched.evaluate(folder)
        self._pending.dealt_with(folder, files)
        if (now := files_of(folder)) != files:
            gone = "changed" if now else "was deleted"
            discarded = f"the adapter {gone} during its evaluation, so the result is discarded"
            self._say(EventKind.CHANGED, folder, discarded)
        elif not self._keep(folder, digest, found):
            self._unwritten = folder, digest, found
        return True

    def _write_again(self) -> bool:
        """Whether every result is written: nothing is evaluated while one cannot be."""
        if self._unwritten is not None and self._keep(*self._unwritten, is_again=True):
            self._unwritten = None
        return self._unwritten is None

    def _keep(self, folder: Path, digest: str, found: Evaluation, *, is_again: bool = False) -> bool:
        """Write a result, say it, and run the command where it failed; whether it could be written."""
        suite, fault = _suite_of(found, folder)
        if suite is None:
            self._errors.add((folder, digest))
        verdict = "error" if suite is None else "fail" if found.reason else "pass"
        composite = suite.score.overall if suite is not None else None
        try:
            entry = self._write(folder, digest, found, verdict, fault, composite)
        except OSError as error:
            reason = error.strerror or str(error)
            if not is_again:
                waits = f"the result ({verdict}) cannot be written: {reason}; sway watch will try again"
                self._say(EventKind.ERROR, folder, waits)
            return False
        trend = None
        if suite is not None:
            trend = self._trend.add(Evaluated(entry.sequence, str(folder), suite))
        reason = found.reason if verdict == "fail" else ""
        outcome = Outcome(verdict, composite, reason, found.seconds, entry.sequence, str(entry.file), trend)
        kind = EventKind.EVALUATED if suite is not None else EventKind.ERROR
        self._watched.say(Event(kind, str(folder), fault, outcome))
        if verdict == "fail" and self._watched.on_fail is not None:
            ended = self._watched.on_fail.run(entry.file)
            self._say(EventKind.ON_FAIL, folder, f"--on-fail {ended}")
        return True

    def _write(
        self, folder: Path, digest: str, found: Evaluation, verdict: str, fault: str, composite: float | None
    ) -> Entry:
        history = self._watched.history
        pointer, seconds = str(folder), found.seconds
        content: dict[str, Any] = found.result or {
            "verdict": "error",
            "error": fault,
            "sequence": history.next_sequence,
            "adapter_pointer": pointer,
            "run_seconds": seconds,
        }
        own = {"adapter_pointer": pointer, "verdict": verdict, "run_seconds": seconds}
        own |= {"overall_score": composite, "adapter_digest": digest}
        return history.add(content, own)

    def _say(self, kind: EventKind, folder: Path | None, message: str) -> None:
        self._watched.say(Event(kind, "" if folder is None else str(folder), message))


def _suite_of(found: Evaluation, folder: Path) -> tuple[SuiteResult | None, str]:
    """The result, or why there is none; never one of another adapter."""
    if found.result is None:
        return None, found.error
    try:
        suite = parse_saved_result(found.result, "the result")
    except SavedResultError as error:
        return None, str(error)
    measured = suite.adapter_id
    if measured and Path(measured).resolve() != folder:
        return None, f"the result was measured on another adapter: {measured}"
    return suite, ""


def _earlier(history: History) -> tuple[Evaluated, ...]:
    """The first and the last result of the history that can be read."""
    whole = [entry for entry in history.entries if not entry.is_error]
    found = []
    for entry in (whole[:1], whole[-1:]):
        for one in entry:
            try:
                suite = read_saved_result(one.file)
            except SavedResultError:
                continue
            found.append(Evaluated(one.sequence, one.adapter, suite))
    return tuple(found)

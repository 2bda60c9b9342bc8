"""The supervisor beside workers that break: the queue goes on, and nothing is left behind."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.serve import supervisor as module
from pytest_sway.serve.runs import Run, RunState
from pytest_sway.serve.supervisor import QueueFullError, Supervisor, WorkerSettings
from tests.serve import broken_workers

Started = Callable[..., Supervisor]
_LONGEST_S = 60


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Starts supervisors whose worker is another function, and stops them at the end."""
    running: list[Supervisor] = []

    def begin(work: Callable[..., None], **settings: Any) -> Supervisor:
        monkeypatch.setattr(module, "work", work)
        running.append(Supervisor(WorkerSettings(**settings)))
        running[-1].start()
        return running[-1]

    yield begin
    for one in running:
        one.stop(1)


def _ended(supervisor: Supervisor, run: Run) -> Run:
    supervisor.submit(run)
    deadline = time.monotonic() + _LONGEST_S
    while not run.is_over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.is_over
    return run


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (broken_workers.unreadable, "returned an invalid answer"),
        (broken_workers.crashing, r"the worker ended \(exit status 7\)"),
    ],
)
def test_a_worker_that_breaks_costs_its_run_alone(
    started: Started, work: Callable[..., None], fault: str
) -> None:
    supervisor = started(work)
    for _ in range(2):
        run = _ended(supervisor, Run("{}"))
        assert run.state is RunState.FAILED
        assert run.status == 503
        assert re.search(fault, run.error)
    assert supervisor.run_count == supervisor.restarts == 2


def test_a_worker_that_ends_leaves_no_file(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = started(broken_workers.littering)
    assert _ended(supervisor, Run("{}")).state is RunState.FAILED
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_is_full_takes_no_run() -> None:
    supervisor = Supervisor(WorkerSettings(most_waiting=1))
    first = Run("{}")
    supervisor.submit(first)
    with pytest.raises(QueueFullError):
        supervisor.submit(Run("{}"))
    supervisor.cancel(first)
    assert first.state is RunState.CANCELLED
    supervisor.submit(Run("{}"))


def test_a_run_that_takes_too_long(started: Started) -> None:
    supervisor = started(broken_workers.sleeping, timeout=0.2)
    run = _ended(supervisor, Run("{}"))
    assert (run.state, run.status, run.error) == (RunState.FAILED, 504, "the run took longer than 0.2 s")


def test_a_worker_that_does_not_hear_is_ended(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_S", 0.3)
    supervisor = started(broken_workers.sleeping)
    measured, waiting = Run("{}"), Run("{}")
    supervisor.submit(measured)
    supervisor.submit(waiting)
    while measured.state is not RunState.RUNNING:
        time.sleep(0.01)
    supervisor.stop(0.1)
    assert (measured.state, waiting.state) == (RunState.CANCELLED, RunState.CANCELLED)
    assert waiting.error == "the server is stopping"
    with pytest.raises(QueueFullError):
        supervisor.submit(Run("{}"))


def test_what_is_said_of_another_run_is_not_taken(started: Started) -> None:
    supervisor = started(broken_workers.confused)
    assert _ended(supervisor, Run("{}")).result == {"of": "this"}


def test_a_folder_that_a_cleaner_removed(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = started(broken_workers.confused)
    assert _ended(supervisor, Run("{}")).state is RunState.DONE
    shutil.rmtree(next(tmp_path.iterdir()))
    assert _ended(supervisor, Run("{}")).state is RunState.DONE
    assert supervisor.restarts == 2


def test_a_worker_that_cannot_be_started(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = started(lambda *_: None)  # spawn cannot send it to another process
    for _ in range(2):
        run = _ended(supervisor, Run("{}"))
        assert (run.state, run.status) == (RunState.FAILED, 503)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    run = _ended(supervisor, Run("{}"))
    assert run.error == "the worker cannot be started: No such file or directory"
    assert list(tmp_path.iterdir()) == []

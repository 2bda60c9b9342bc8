"""The supervisor beside workers that break: the queue goes on, and nothing is left behind."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sway.serve import supervisor as module
from pytest_sway.serve.runs import Run, RunState
from pytest_sway.serve.supervisor import QueueFullError, Supervisor, WorkerSettings
from tests.serve import broken_workers

_LONGEST_S = 60


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
    monkeypatch: pytest.MonkeyPatch, work: Callable[..., None], fault: str
) -> None:
    monkeypatch.setattr(module, "work", work)
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    for _ in range(2):
        run = _ended(supervisor, Run("{}"))
        assert run.state is RunState.FAILED
        assert run.status == 503
        assert re.search(fault, run.error)
    assert supervisor.run_count == supervisor.restarts == 2
    supervisor.stop(1)


def test_a_worker_that_ends_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "work", broken_workers.littering)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    assert _ended(supervisor, Run("{}")).state is RunState.FAILED
    assert list(tmp_path.iterdir()) == []
    supervisor.stop(1)


def test_a_queue_that_is_full_takes_no_run() -> None:
    supervisor = Supervisor(WorkerSettings(most_waiting=1))
    first = Run("{}")
    supervisor.submit(first)
    with pytest.raises(QueueFullError):
        supervisor.submit(Run("{}"))
    supervisor.cancel(first)
    assert first.state is RunState.CANCELLED
    supervisor.submit(Run("{}"))


def test_a_run_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "work", broken_workers.sleeping)
    supervisor = Supervisor(WorkerSettings(timeout=0.2))
    supervisor.start()
    run = _ended(supervisor, Run("{}"))
    assert (run.state, run.status, run.error) == (RunState.FAILED, 504, "it took longer than 0.2 s")
    supervisor.stop(1)


def test_a_worker_that_does_not_hear_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "work", broken_workers.sleeping)
    monkeypatch.setattr(module, "_STOP_S", 0.3)
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    measured, waiting = Run("{}"), Run("{}")
    supervisor.submit(measured)
    supervisor.submit(waiting)
    while measured.state is not RunState.RUNNING:
        time.sleep(0.01)
    supervisor.stop(0.1)
    assert (measured.state, waiting.state) == (RunState.CANCELLED, RunState.CANCELLED)
    assert waiting.error == "the daemon is stopping"
    with pytest.raises(QueueFullError):
        supervisor.submit(Run("{}"))


def test_what_is_said_of_another_run_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "work", broken_workers.confused)
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    assert _ended(supervisor, Run("{}")).result == {"of": "this"}
    supervisor.stop(1)


def test_a_folder_that_a_cleaner_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "work", broken_workers.confused)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    assert _ended(supervisor, Run("{}")).state is RunState.DONE
    shutil.rmtree(next(tmp_path.iterdir()))
    assert _ended(supervisor, Run("{}")).state is RunState.DONE
    assert supervisor.restarts == 2
    supervisor.stop(1)


def test_a_worker_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "work", lambda *_: None)  # spawn cannot send it to another process
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    supervisor = Supervisor(WorkerSettings())
    supervisor.start()
    for _ in range(2):
        run = _ended(supervisor, Run("{}"))
        assert (run.state, run.status) == (RunState.FAILED, 503)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    run = _ended(supervisor, Run("{}"))
    assert run.error == "the worker cannot be started: No such file or directory"
    assert list(tmp_path.iterdir()) == []
    supervisor.stop(1)

"""The worker's own side: what a run that fails leaves, and what it says."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from pathlib import Path

import pytest

from pytest_sway.backends.base import ModelKey
from pytest_sway.serve import worker as module
from pytest_sway.serve.messages import Cancel, Finished, Job, Stop
from pytest_sway.serve.warm_backends import WarmBackends
from pytest_sway.serve.worker import ServedRun, work
from pytest_sway.session_error import SessionError
from tests.serve.test_warm_backends import SizedBackend

JOB = Job("1", "models: {}")


def _finished(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """What the worker says of a run, on this thread."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    near, far = multiprocessing.Pipe()
    near.send(JOB)
    near.send(Stop())
    work(far, 1, None, str(scratch))
    found = near.recv()
    assert isinstance(found, Finished)
    return found


def test_temporary_files_are_where_the_daemon_removes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen: list[Path] = []

    def fails(spec: Path, *_: object, **__: object) -> None:
        seen.append(spec)
        raise SessionError(f"{spec}:3:1: models: wrong\n{spec}: and more")

    monkeypatch.setattr(module, "run_quietly", fails)
    found = _finished(scratch, monkeypatch)
    assert seen[0].is_relative_to(scratch)
    assert (found.error, found.status) == ("models: wrong\nand more", 400)
    assert not scratch.exists()


def test_a_traceback_stays_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SessionError("Traceback (most recent call last): /a/path")

    monkeypatch.setattr(module, "run_quietly", fails)
    assert _finished(tmp_path, monkeypatch).error == "the spec could not be run; see the server's log"
    assert "/a/path" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_the_spec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "run_quietly", fails)
    found = _finished(tmp_path, monkeypatch)
    assert (found.error, found.status) == ("the worker: No space left on device", 503)


@pytest.mark.parametrize(("when", "is_open"), [("setup", False), ("teardown", False), ("call", True)])
def test_a_model_whose_fixture_failed_is_lent_to_no_other_run(when: str, is_open: bool) -> None:
    warm = WarmBackends(lambda key: SizedBackend(1), 1)
    run = ServedRun(JOB, multiprocessing.Pipe()[0], warm)
    backend = run.pytest_sway_backend(None, ModelKey("hf", "a"))  # type: ignore[arg-type]
    report = pytest.TestReport("x", ("x", 1, "x"), {}, "failed", "fault", when)  # type: ignore[arg-type]
    run.pytest_runtest_logreport(report)
    warm.end_run()
    assert vars(backend)["is_open"] is is_open


def test_only_its_own_run_is_cancelled() -> None:
    near, far = multiprocessing.Pipe()
    run = ServedRun(JOB, far, WarmBackends(lambda key: SizedBackend(1), 1))
    near.send(Cancel("another"))
    run._progress(1, 2)
    near.send(Cancel("1"))
    with pytest.raises(pytest.exit.Exception):
        run._progress(2, 2)

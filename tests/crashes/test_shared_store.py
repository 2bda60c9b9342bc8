"""Several runs at once share one file of answers: all find the same, and none waits in vain for a lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.crashes.killed_run import KilledRun, verdicts


def _run_at_once(folder: Path, count: int) -> None:
    run = KilledRun(folder / "project")
    _, expected = run.finish()
    answers = run.check()
    run.forget()
    processes = [run.start(f"--sway-json={number}.json") for number in range(count)]
    outputs = [process.communicate(timeout=300)[0].decode() for process in processes]
    for number, (process, output) in enumerate(zip(processes, outputs, strict=True)):
        assert process.returncode == 0, output
        assert "Traceback" not in output, output
        result = json.loads((run.folder / f"{number}.json").read_text("utf-8"))
        assert verdicts(result) == verdicts(expected)
        notes = " ".join(result["notes"])
        assert "answer" not in notes, notes
    assert run.check() == answers > 0
    assert run.left_over() == set()


@pytest.mark.slow
def test_two_runs_at_once(tmp_path: Path) -> None:
    _run_at_once(tmp_path, 2)


@pytest.mark.nightly
@pytest.mark.parametrize("count", [4, 8])
def test_many_runs_at_once(tmp_path: Path, count: int) -> None:
    _run_at_once(tmp_path, count)

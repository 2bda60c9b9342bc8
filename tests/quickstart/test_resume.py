"""A run that was killed: the next one pays for the rest alone, and finds the same."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from pytest_sway.engine.disk_cache import FILE
from tests.support.paths import QUICKSTART

COMMAND = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(QUICKSTART / "sway.yaml")]


def kept(store: Path) -> int:
    """Answers on disk."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store, timeout=10)) as base:
        tables = base.execute("SELECT name FROM sqlite_master").fetchall()
        return int(base.execute("SELECT count(*) FROM answers").fetchone()[0]) if tables else 0


@pytest.mark.slow
def test_a_killed_run_is_taken_up_where_it_was(tmp_path: Path) -> None:
    env = {**os.environ, "SWAY_NULL_CACHE_DIR": str(tmp_path / "answers")}
    run = subprocess.Popen(
        [*COMMAND, "--sway-json=killed.json"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    )
    while run.poll() is None and kept(tmp_path / "answers" / FILE) < 100:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert list(tmp_path.glob("*killed.json*")) == []
    had = kept(tmp_path / "answers" / FILE)

    def finished(name: str, folder: str) -> dict[str, object]:
        env["SWAY_NULL_CACHE_DIR"] = str(tmp_path / folder)
        done = subprocess.run(
            [*COMMAND, f"--sway-json={name}"], cwd=tmp_path, env=env, check=False, capture_output=True
        )
        assert done.returncode == 0, done.stdout.decode()
        found: dict[str, object] = json.loads((tmp_path / name).read_text())
        return found

    resumed, afresh = finished("resumed.json", "answers"), finished("afresh.json", "others")
    assert resumed["backend_stats"]["stored_hits"] >= had >= 100  # type: ignore[index]
    assert afresh["backend_stats"]["stored_hits"] == 0  # type: ignore[index]
    assert [p["verdict"] for p in resumed["probes"]] == [p["verdict"] for p in afresh["probes"]]  # type: ignore[attr-defined]
    for one, other in zip(resumed["probes"], afresh["probes"], strict=True):  # type: ignore[call-overload]
        assert one["raw"] == pytest.approx(other["raw"], rel=1e-3)

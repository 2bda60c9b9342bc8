"""Every call that writes fails once: each output is the new one, the old one or absent, also afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crashes.writers import WRITERS
from tests.support.paths import ROOT

NAMES = [writer.name for writer in WRITERS]
QUICK = ["history"]
"""In the slow lane; the others take minutes."""


def _sweep(name: str, folder: Path, environment: dict[str, str], step: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashes.sweep", name, str(folder), str(step)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found['calls']} calls, {found['faults']} faults, {found['refused']} refused")  # noqa: T201
    assert found["problems"] == []
    assert found["faults"] > 0
    assert found["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_some_writers(name: str, tmp_path: Path, fail_calls: dict[str, str]) -> None:
    _sweep(name, tmp_path, fail_calls, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUICK])
def test_every_writer(name: str, tmp_path: Path, fail_calls: dict[str, str]) -> None:
    _sweep(name, tmp_path, fail_calls, 1)

"""How much work collection is, counted in calls and in instructions: times are noisy, these are not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import pytest_sway

PACKAGE = str(Path(pytest_sway.__file__).parent)
CALLS_OF_A_PROJECT_WITHOUT_SPECS = 100
CALLS_OF_A_PROBE = 100
INSTRUCTIONS_OF_THE_PLUGIN = 0.06
"""Of those that pytest itself needs for one trivial test."""


def write_spec(folder: Path, probes: int) -> None:
    model = {"kind": "hf", "base": "base"}
    suite = [{"name": f"p{i}", "kind": "delta_kl", "prompts": [f"Prompt {i}"]} for i in range(probes)]
    spec = {"version": 1, "models": {"base": model, "ft": {**model, "adapter": "adapter"}}, "suite": suite}
    (folder / "sway.yaml").write_text(json.dumps(spec), encoding="utf-8")


def calls_of_ours(run: Callable[[], Any]) -> int:
    """Calls of functions of the package while ``run`` runs."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def calls_to_collect(pytester: pytest.Pytester, probes: int) -> int:
    write_spec(pytester.path, probes)
    return calls_of_ours(lambda: pytester.inline_run("--collect-only", "-q", "sway.yaml"))


def test_each_probe_costs_the_same(pytester: pytest.Pytester) -> None:
    calls_to_collect(pytester, 1)  # imports, caches
    few, more, most = (calls_to_collect(pytester, probes) for probes in (20, 40, 80))
    assert (most - more) / 40 == pytest.approx((more - few) / 20, rel=0.05)
    assert (most - more) / 40 <= CALLS_OF_A_PROBE


def test_a_project_without_specs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_trivial="def test_it(): pass")
    pytester.inline_run("-q")
    assert calls_of_ours(lambda: pytester.inline_run("-q")) <= CALLS_OF_A_PROJECT_WITHOUT_SPECS


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_of_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_trivial.py").write_text("def test_it(): pass\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    without = instructions(tmp_path, "-p", "no:pytest_sway")
    assert instructions(tmp_path) / without - 1 <= INSTRUCTIONS_OF_THE_PLUGIN


def instructions(folder: Path, *options: str) -> int:
    """Those that ``pytest -q`` executes, counted by callgrind."""
    count = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    # pytest-randomly imports whatever seeds random numbers
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    done = subprocess.run(
        [*count, *run],
        cwd=folder,
        env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])

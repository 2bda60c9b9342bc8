"""The quickstart's result is what it was on this system; ``SWAY_UPDATE_GOLDENS=1`` writes it anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sway.suites.golden import compare_goldens, mask_variable_fields
from tests.support.paths import QUICKSTART, ROOT

GOLDEN = Path(__file__).parent / f"quickstart-{sys.platform}.json"


@pytest.mark.nightly
def test_the_quickstart_is_what_it_was(tmp_path: Path) -> None:
    report = tmp_path / "result.json"
    command = [
        sys.executable,
        "-m",
        "pytest_sway",
        "gate",
        str(QUICKSTART / "sway.yaml"),
        "--json",
        str(report),
    ]
    env = {**os.environ, "SWAY_NULL_CACHE_DIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
    found = mask_variable_fields(json.loads(report.read_text("utf-8")))
    if os.environ.get("SWAY_UPDATE_GOLDENS"):
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    if not GOLDEN.is_file():
        pytest.skip(f"no golden of {sys.platform}: SWAY_UPDATE_GOLDENS=1 makes one")
    differences = compare_goldens(found, json.loads(GOLDEN.read_text("utf-8")))
    assert not differences, "\n".join(map(str, differences))

"""A real run of TRL, watched while it trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_sway.suites.saved_results import read_saved_result
from pytest_sway.watch.adapter_folders import adapter_digest
from tests.support.paths import QUICKSTART
from tests.support.training_files import facts
from tests.watch.test_command import Watching, watching  # noqa: F401 - a fixture

PYTHON = os.environ.get("SWAY_TRL_PYTHON", sys.executable)
"""A Python that has TRL; .ci/nightly installs it beside everything else."""
TRAINING = Path(__file__).with_name("train_with_trl.py")
CHECKPOINTS = ["checkpoint-6", "checkpoint-12", "checkpoint-18", "checkpoint-24"]


@pytest.mark.nightly
def test_every_checkpoint_is_evaluated_once(tmp_path: Path, watching: Watching) -> None:  # noqa: F811
    if subprocess.run([PYTHON, "-c", "import trl"], capture_output=True, check=False).returncode:
        pytest.skip("TRL is not installed")
    rows = [{"prompt": fact.question, "completion": f" {fact.answer}"} for fact in facts(24)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    watch = watching("sway.yaml", "--adapter", "run")
    watch.wait_for("watching")
    command = [PYTHON, TRAINING, QUICKSTART / "base", "run", "rows.jsonl"]
    training = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert training.returncode == 0, training.stderr
    last = watch.wait_for("same")
    assert last["adapter"] == str(tmp_path / "run")  # what is saved at the end is the last checkpoint
    time.sleep(3)
    assert watch.stop() == 0
    evaluated = [event for event in watch.events() if event["event"] == "evaluated"]
    assert [Path(event["adapter"]).name for event in evaluated] == CHECKPOINTS
    assert not [event for event in watch.events() if event["event"] in ("error", "incomplete", "changed")]
    for event in evaluated:
        result = read_saved_result(tmp_path / event["result"])
        assert result.adapter_id == event["adapter"]
        own = json.loads((tmp_path / event["result"]).read_text())["sway_watch"]
        assert own["adapter_digest"] == adapter_digest(Path(event["adapter"]))
    print([(Path(one["adapter"]).name, one["verdict"], one["composite"]) for one in evaluated])  # noqa: T201

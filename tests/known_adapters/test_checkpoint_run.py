"""``sway rank`` on a run whose course is known: ten checkpoints, of which the last three were let go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART, ROOT
from tests.support.training_files import facts, write_jsonl

DOCUMENTS = {"first": QUICKSTART, "second": KNOWN_ADAPTERS / "second"}


@pytest.mark.nightly
@pytest.mark.parametrize("document", DOCUMENTS)
def test_ten_checkpoints(tmp_path: Path, document: str) -> None:
    folder = DOCUMENTS[document]
    make = [sys.executable, "-m", "tests.known_adapters.make.checkpoint_run", "--out", str(tmp_path / "run")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*make, "--document", str(folder)], cwd=ROOT, check=True, env=one_thread)
    rows = [{"prompt": fact.question, "completion": fact.answer} for fact in facts(100, folder)]
    rank = [sys.executable, "-m", "pytest_sway", "rank", *map(str, (tmp_path / "run").glob("checkpoint-*"))]
    rank += ["--data", str(write_jsonl(tmp_path, rows)), "--base", str(QUICKSTART / "base")]
    subprocess.run([*rank, "--json", "rank.json"], cwd=tmp_path, check=True)
    content = json.loads((tmp_path / "rank.json").read_text("utf-8"))
    labels = [one["label"] for one in content["checkpoints"]]
    assert labels == [f"checkpoint-{step}" for step in (5, 15, 40, 80, 120, 160, 200, 220, 260, 300)]
    gates = dict(zip(labels, (one["gate"] for one in content["checkpoints"]), strict=True))
    assert gates["checkpoint-5"] == gates["checkpoint-15"] == "failed"
    assert content["best"] in ("checkpoint-120", "checkpoint-160", "checkpoint-200")
    assert content["harm_begins"] in ("checkpoint-220", "checkpoint-260")
    assert not set(content["not_distinguishable"]) & {"checkpoint-5", "checkpoint-15", "checkpoint-40"}

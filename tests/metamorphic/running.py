"""One suite in a pytest run of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.known_adapters.evaluation import Report


def run_suite(whole: Mapping[str, Any], folder: Path, *options: str, threads: int = 1) -> Report:
    """The JSON report of a spec that names its models, written into a new folder.

    Args:
        whole: the spec.
        folder: made here; what is written into it stays.
        options: further ones of the command line.
        threads: of torch.
    """
    folder.mkdir()
    (folder / "sway.yaml").write_text(yaml.safe_dump(dict(whole)), "utf-8")
    command = [sys.executable, "-m", "pytest", "sway.yaml", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
    command += ["--sway-json=report.json", *options]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    path = folder / "report.json"
    assert path.is_file(), ran.stdout[-3000:] + ran.stderr[-1000:]
    report: Report = json.loads(path.read_text("utf-8"))
    return report

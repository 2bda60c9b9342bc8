"""Patients examined: a fleet of adapters through a real pytest run, and what it reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Report = dict[str, Any]


def examine(spec: Mapping[str, Any], patients: Mapping[str, Path], work: Path) -> dict[str, Report]:
    """Every patient's JSON report, by its name.

    Args:
        spec: without an adapter.
        patients: adapter folders, each with a name of its own.
        work: an empty folder.

    Raises:
        RuntimeError: a patient has no report; with what pytest wrote.
    """
    (work / "sway.yaml").write_text(yaml.safe_dump(dict(spec), sort_keys=False), "utf-8")
    command = [sys.executable, "-m", "pytest", "sway.yaml", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
    command += ["--sway-json=reports", *(f"--sway-adapter={folder}" for folder in patients.values())]
    (work / "reports").mkdir()
    ran = subprocess.run(
        command, cwd=work, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    told = [json.loads(path.read_text("utf-8")) for path in (work / "reports").glob("*.json")]
    by_folder = {Path(report["adapter_id"]).resolve(): report for report in told}
    missing = [name for name, folder in patients.items() if folder.resolve() not in by_folder]
    if missing:
        raise RuntimeError(f"no report of {', '.join(missing)}:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}")
    return {name: by_folder[folder.resolve()] for name, folder in patients.items()}


def verdicts(report: Report) -> dict[str, str]:
    """Verdict by probe."""
    return {probe["name"]: probe["verdict"] for probe in report["probes"]}


def probe(report: Report, name: str) -> dict[str, Any]:
    """One probe's entry."""
    return next(entry for entry in report["probes"] if entry["name"] == name)


def composite(report: Report) -> float:
    """The composite."""
    return float(report["score"]["overall"])


def passed(report: Report) -> bool:
    """Whether the gate passed."""
    return bool(report["gate"]["status"] == "passed")


def learned(report: Report) -> Sequence[str]:
    """The sections that section_internalization calls learned."""
    sections = probe(report, "section_internalization")["evidence"].get("per_section", [])
    return [section["section_id"] for section in sections if section["passed"]]

"""Evaluates a fleet of adapters by a real pytest run and reads its reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

Report = dict[str, Any]


def evaluate(spec: Mapping[str, Any], adapters: Mapping[str, Path], work: Path) -> dict[str, Report]:
    """Every adapter's JSON report, by its name; two fleets side by side, each on one core.

    Args:
        spec: without an adapter.
        adapters: adapter folders, each with a name of its own.
        work: a folder; what is written into it stays.

    Raises:
        RuntimeError: an adapter has no report; with what pytest wrote.
    """
    (work / "sway.yaml").write_text(yaml.safe_dump(dict(spec), sort_keys=False), "utf-8")
    folders = list(adapters.values())
    fleets = [fleet for fleet in (folders[::2], folders[1::2]) if fleet]
    with ThreadPoolExecutor(len(fleets)) as pool:
        outputs = list(pool.map(lambda at: _fleet(work, at, fleets[at]), range(len(fleets))))
    reports = [json.loads(path.read_text("utf-8")) for path in work.glob("reports-*/*.json")]
    by_folder = {Path(report["adapter_id"]).resolve(): report for report in reports}
    missing = [name for name, folder in adapters.items() if folder.resolve() not in by_folder]
    if missing:
        raise RuntimeError(f"no report of {', '.join(missing)}:\n" + "\n".join(outputs))
    return {name: by_folder[folder.resolve()] for name, folder in adapters.items()}


def run_pytest(
    folder: Path, *arguments: str, threads: int = 1, setting: Mapping[str, str] | None = None
) -> str:
    """Run pytest in a folder, whatever comes of it; the end of what it wrote.

    Args:
        folder: where it runs.
        arguments: spec files and options.
        threads: of torch.
        setting: further environment variables.
    """
    command = [sys.executable, "-m", "pytest", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads), **(setting or {})}
    ran = subprocess.run(
        [*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    return f"{ran.stdout[-3000:]}{ran.stderr[-1000:]}"


def _fleet(work: Path, number: int, fleet: Sequence[Path]) -> str:
    """Run pytest over one fleet; the end of what it wrote."""
    (work / f"reports-{number}").mkdir()
    return run_pytest(
        work, "sway.yaml", f"--sway-json=reports-{number}", *(f"--sway-adapter={folder}" for folder in fleet)
    )


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

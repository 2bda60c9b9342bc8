"""Prints the action's outputs: score, verdict and paths, and with which status the job ends.

``outputs.py RESULT REPORT STATUS FAIL_ON``: the files that the gate wrote, its exit status, and fail, warn or
never. What a result file says is not trusted: of it only a number and the probes' verdicts are used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CANNOT_RUN = 2


def main(result: str, report: str, status: str, fail_on: str) -> None:
    """Print a line for each output."""
    score, verdict = _read(Path(result), int(status))
    failing = {"fail": ("fail",), "warn": ("fail", "warn"), "never": ()}[fail_on]
    ends_with = CANNOT_RUN if verdict == "error" else int(verdict in failing)
    outputs = {
        "sway-score": score,
        "verdict": verdict,
        "report-path": "" if verdict == "error" else result,
        "markdown-path": report if Path(report).is_file() else "",
        "exit-status": ends_with,
    }
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in outputs.items()))


def _read(result: Path, status: int) -> tuple[str, str]:
    """Score and verdict; of several suites the lowest score, and the worst verdict."""
    files = sorted(result.glob("*.json")) if result.is_dir() else [result]
    if status not in (0, 1) or not all(file.is_file() for file in files) or not files:
        return "", "error"
    contents = [json.loads(file.read_text("utf-8")) for file in files]
    verdicts = {probe["verdict"] for content in contents for probe in content["probes"]}
    score = min(float(content["score"]["overall"]) for content in contents)
    if status == 1 or verdicts & {"fail", "error"}:
        return f"{score:.4f}", "fail"
    return f"{score:.4f}", "warn" if "warn" in verdicts else "pass"


if __name__ == "__main__":
    main(*sys.argv[1:])

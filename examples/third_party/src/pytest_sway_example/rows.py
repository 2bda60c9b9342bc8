"""A report: a row per suite, in a file that grows from run to run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pytest_sway import SuiteResult

COLUMNS = ("finished", "suite", "adapter", "composite", "band", "gate")


def add_rows(path: Path, suites: Sequence[SuiteResult]) -> None:
    """Add them to the file, which is made with its header where there is none."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        for suite in suites:
            score, gate = suite.score, suite.gate.status
            composite = f"{score.overall:.3f}"
            writer.writerow((suite.finished_at, suite.suite, suite.adapter_id, composite, score.band, gate))

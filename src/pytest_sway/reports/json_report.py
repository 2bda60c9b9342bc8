"""The result file: schema 1 of the contract, with added keys only; standard JSON, no NaN."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_sway import __version__
from pytest_sway.result import SuiteResult, wired

SCHEMA_VERSION = 1


def payload(suite: SuiteResult) -> dict[str, Any]:
    """One suite as the JSON object of the contract."""
    score = asdict(suite.score)
    found: dict[str, Any] = wired(
        {
            "schema_version": SCHEMA_VERSION,
            "sway_version": __version__,
            "suite": suite.suite,
            "spec_path": suite.spec_path,
            "base_model_id": suite.base_model_id,
            "adapter_id": suite.adapter_id,
            "started_at": suite.started_at,
            "finished_at": suite.finished_at,
            "wall_seconds": suite.wall_seconds,
            "determinism": suite.determinism,
            "backend_stats": suite.backend_stats,
            "score": score,
            "null_stats": suite.null_stats,
            "null_stats_by_rank": suite.null_stats_by_rank,
            "gate": suite.gate,
            "calibration": suite.calibration,
            "notes": suite.notes,
            "digests": suite.digests,
            "probes": [probe.to_wire() for probe in suite.probes],
        }
    )
    return found


def write(suites: Sequence[SuiteResult], target: str) -> None:
    """One suite into the file ``target``; several into a folder of that name, one file each."""
    path = Path(target)
    if len(suites) == 1 and not path.is_dir():
        _write_whole(path, payload(suites[0]))
        return
    taken: set[str] = set()
    for suite in suites:
        name = re.sub(r"[^\w.-]+", "_", suite.suite).strip("_")
        while name in taken:
            name += "_"
        taken.add(name)
        _write_whole(path / f"{name}.json", payload(suite))


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """A temporary file beside it, then a rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

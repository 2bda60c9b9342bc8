"""The result file: schema 1 of the contract, with added keys only; standard JSON, no NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pytest_sway.result import SuiteResult, json_value
from pytest_sway.suites.saved_results import SCHEMA_VERSION


def payload(suite: SuiteResult) -> dict[str, Any]:
    """One suite as the JSON object of the contract."""
    score = asdict(suite.score)
    found: dict[str, Any] = json_value(
        {
            "schema_version": SCHEMA_VERSION,
            "sway_version": suite.sway_version,
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
            "warnings": suite.warnings,
            "digests": suite.digests,
            "not_evaluated": suite.not_evaluated,
            "baseline": suite.baseline,
            "probes": [probe.to_wire() for probe in suite.probes],
        }
    )
    return found


def text(suite: SuiteResult) -> str:
    """The file's content: keys sorted, standard JSON."""
    return document(payload(suite))


def document(content: Mapping[str, Any]) -> str:
    """A file's content, for every file that we write as JSON: keys sorted, standard JSON.

    Args:
        content: builtins without NaN or infinity, as :func:`pytest_sway.result.json_value` makes them.
    """
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"

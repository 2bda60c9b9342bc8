"""What two evaluations must have in common."""

from __future__ import annotations

from typing import Any

import pytest

from tests.known_adapters.evaluation import Report, probe

ROUNDING = 1e-4
"""Relative: other batches sum in another order."""
Outcome = dict[str, Any]


def outcome(report: Report, name: str) -> Outcome:
    """What is compared of a probe: verdict, number, z, score, interval."""
    found = probe(report, name)
    return {key: found[key] for key in ("verdict", "raw", "z_score", "score", "ci_95")}


def assert_same(found: Outcome, expected: Outcome, *, z: bool = True) -> None:
    """The same verdict and, up to rounding, the same numbers; ``z`` where the null adapters are the same."""
    keys = ("raw", "score", "ci_95", *(("z_score",) if z else ()))
    assert found["verdict"] == expected["verdict"]
    assert {key: found[key] for key in keys} == {key: _near(expected[key]) for key in keys}


def _near(value: Any) -> Any:
    return None if value is None else pytest.approx(value, rel=ROUNDING, abs=1e-6)

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


def assert_same(found: Outcome, expected: Outcome) -> None:
    """The same verdict and, up to rounding, the same numbers."""
    assert found["verdict"] == expected["verdict"]
    assert found == {key: value if key == "verdict" else _near(value) for key, value in expected.items()}


def assert_same_beside_other_nulls(found: Outcome, expected: Outcome) -> None:
    """The same verdict, number and interval; z is another, and a score may be net of the nulls' mean."""
    assert found["verdict"] == expected["verdict"]
    assert (found["raw"], found["ci_95"]) == (_near(expected["raw"]), _near(expected["ci_95"]))
    assert found["score"] == pytest.approx(expected["score"], abs=0.01)


def _near(value: Any) -> Any:
    return None if value is None else pytest.approx(value, rel=ROUNDING, abs=1e-6)

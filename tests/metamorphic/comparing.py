"""What two evaluations must have in common."""

from __future__ import annotations

from typing import Any

import pytest

from tests.known_adapters.evaluation import Report, probe

ROUNDING = 1e-4
"""Relative: other batches sum in another order."""
Told = dict[str, Any]


def told(report: Report, name: str) -> Told:
    """One probe's entry without its messages' numbers: verdict, number, z, score, interval."""
    found = probe(report, name)
    return {key: found[key] for key in ("verdict", "raw", "z_score", "score", "ci_95")}


def assert_same(found: Told, expected: Told, *, z: bool = True) -> None:
    """The same verdict and, up to rounding, the same numbers; ``z`` where the same nulls were drawn."""
    keys = ("raw", "score", "ci_95", *(("z_score",) if z else ()))
    assert found["verdict"] == expected["verdict"]
    assert {key: found[key] for key in keys} == {key: _near(expected[key]) for key in keys}


def _near(value: Any) -> Any:
    return None if value is None else pytest.approx(value, rel=ROUNDING, abs=1e-6)

"""What two evaluations must have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.known_adapters.evaluation import Report, probe


class Rounding(NamedTuple):
    """How far two evaluations of one model may be apart, since other batches and processors sum otherwise.

    Attributes:
        relative: of any number.
        nats: of a number, where that is more.
        z: relative, of z: the nats over the nulls' deviation.
    """

    relative: float
    nats: float
    z: float


OF_TOY = Rounding(1e-4, 1e-6, 1e-4)
OF_SMOLLM2 = Rounding(1e-4, 5e-5, 1e-3)
"""Thirty layers: in plain transformers another instruction set moves a token's log-probability by 2e-5."""
Outcome = dict[str, Any]


def outcome(report: Report, name: str) -> Outcome:
    """What is compared of a probe: verdict, number, z, score, interval."""
    found = probe(report, name)
    return {key: found[key] for key in ("verdict", "raw", "z_score", "score", "ci_95")}


def assert_same(found: Outcome, expected: Outcome, rounding: Rounding = OF_TOY) -> None:
    """The same verdict and, up to rounding, the same numbers."""
    assert found["verdict"] == expected["verdict"]
    z = rounding._replace(relative=rounding.z)
    numbers = {key: value for key, value in expected.items() if key != "verdict"}
    near = {key: _near(value, z if key == "z_score" else rounding) for key, value in numbers.items()}
    assert {key: found[key] for key in numbers} == near


def assert_same_beside_other_nulls(found: Outcome, expected: Outcome, rounding: Rounding = OF_TOY) -> None:
    """The same verdict, number and interval; z is another, and a score may be net of the nulls' mean."""
    assert found["verdict"] == expected["verdict"]
    near = [_near(expected[key], rounding) for key in ("raw", "ci_95")]
    assert [found["raw"], found["ci_95"]] == near
    assert found["score"] == pytest.approx(expected["score"], abs=0.01)


def _near(value: Any, rounding: Rounding) -> Any:
    return None if value is None else pytest.approx(value, rel=rounding.relative, abs=rounding.nats)

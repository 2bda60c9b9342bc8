"""What two evaluations must have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.known_adapters.evaluation import Report, probe


class Rounding(NamedTuple):
    """How far two evaluations of one model may be apart, since other batches and processors sum otherwise.

    Attributes:
        relative: of any number.
        nats: of a number, where that is more; of an interval's end :data:`T_OF_FOUR` times that.
        z: relative, of z: the nats over the nulls' deviation.
    """

    relative: float
    nats: float
    z: float


T_OF_FOUR = 3.2
"""Student's t at 95 % of four items, the fewest that an interval here is of."""
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
    own = {"z_score": rounding._replace(relative=rounding.z), "ci_95": _of_interval(rounding)}
    numbers = {key: value for key, value in expected.items() if key != "verdict"}
    near = {key: _near(value, own.get(key, rounding)) for key, value in numbers.items()}
    assert {key: found[key] for key in numbers} == near


def assert_same_beside_other_nulls(found: Outcome, expected: Outcome, rounding: Rounding = OF_TOY) -> None:
    """The same verdict, number and interval; z is another, and a score may be net of the nulls' mean."""
    assert found["verdict"] == expected["verdict"]
    assert found["raw"] == _near(expected["raw"], rounding)
    assert found["ci_95"] == _near(expected["ci_95"], _of_interval(rounding))
    assert found["score"] == pytest.approx(expected["score"], abs=0.01)


def _of_interval(rounding: Rounding) -> Rounding:
    return rounding._replace(nats=T_OF_FOUR * rounding.nats)


def _near(value: Any, rounding: Rounding) -> Any:
    return None if value is None else pytest.approx(value, rel=rounding.relative, abs=rounding.nats)

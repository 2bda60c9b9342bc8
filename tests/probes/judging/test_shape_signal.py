"""Whether there is a divergence whose shape could be judged."""

from __future__ import annotations

import pytest

from pytest_sway.probes.base import NoSignal, NullSample
from pytest_sway.probes.judging.shape_signal import no_signal, require_signal, signal
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.prediction import predict
from tests.support.null_samples import null_sample

DRAWS = (0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.011)
NULLS = null_sample(*DRAWS)
MEAN = sum(DRAWS) / len(DRAWS)


def signal_of(value: float, nulls: NullSample | None = NULLS, floor: float = 0.02, z: float = 2.0):
    return signal(Measurement(raw=value), nulls, "raw", floor, z)


@pytest.mark.parametrize(
    ("value", "nulls", "floor", "z", "present", "above_floor", "within_null"),
    [
        (0.4, NULLS, 0.02, 2.0, True, True, False),
        (MEAN + 0.0201, NULLS, 0.02, 2.0, True, True, False),
        (MEAN + 0.0199, NULLS, 0.02, 2.0, False, False, False),  # real, and too little
        (0.012, NULLS, 0.001, 2.0, False, True, True),
        (0.012, NULLS, 0.001, 0.0, True, True, False),  # no z is asked for
        (0.012, NULLS, 0.0, 2.0, False, True, True),
        (0.001, NULLS, 0.02, 0.0, False, False, True),
        (0.02, None, 0.02, 2.0, True, True, False),
        (0.0199, None, 0.02, 2.0, False, False, True),
        (0.0, None, 0.0, 2.0, False, True, True),
        (1e-9, None, 0.0, 2.0, True, True, False),
    ],
)
def test_floor_and_null(value, nulls, floor, z, present, above_floor, within_null) -> None:
    one = signal_of(value, nulls, floor, z)
    assert (one.present, one.above_floor, one.within_null) == (present, above_floor, within_null)


def test_a_z_at_its_bar_is_enough() -> None:
    z = predict(0.02, DRAWS, NULLS.scale).z
    assert z is not None
    assert signal_of(0.02, floor=0.001, z=z).present
    assert not signal_of(0.02, floor=0.001, z=z * 1.001).present
    assert signal_of(0.0107, floor=1e-5, z=0.01).present
    assert not signal_of(0.0107, floor=1e-5, z=1.0).present


@pytest.mark.parametrize(("value", "within"), [(0.03, True), (0.06, False)])
def test_without_a_z_the_rank_says_whether_it_is_within_its_null(value: float, within: bool) -> None:
    """Draws that are all alike have no spread, and one draw has none."""
    assert signal_of(value, null_sample(value + (0.01 if within else -0.01))).within_null is within
    assert signal_of(value, null_sample(0.05, 0.05, 0.05)).within_null is within


def test_another_statistic_has_its_own_null() -> None:
    nulls = null_sample(signal=DRAWS, last=[100 * one for one in DRAWS])
    measured = Measurement(raw=5.0, statistics={"signal": 0.4, "last": 0.9})
    first, last = (signal(measured, nulls, name, 0.02) for name in ("signal", "last"))
    assert (first.present, last.present) == (True, False)
    assert first.prediction == predict(0.4, DRAWS, nulls.scale)


def test_in_words() -> None:
    assert signal_of(0.4, None).text == "0.4 nats (floor 0.02)"
    assert signal_of(0.4, None, floor=0).text == "0.4 nats (no floor)"
    assert signal_of(0.4).text == f"0.4 nats (floor 0.02, z {predict(0.4, DRAWS, NULLS.scale).z:+.2f}σ)"
    assert signal_of(0.4, null_sample(0.05, 0.05, 0.05)).text == "0.4 nats (floor 0.02)"


def test_the_draws_decide_the_distance_from_the_floor() -> None:
    (criterion,) = signal_of(0.4).null_criteria
    assert criterion.least_z == 2.0
    assert criterion.margins == pytest.approx((0.4 - MEAN - 0.02,))
    (without_floor,) = signal_of(0.4, floor=-1.0).null_criteria
    assert without_floor.margins == pytest.approx((0.4 - MEAN,))
    assert signal_of(0.4, None).null_criteria == ()


@pytest.mark.parametrize(
    ("value", "floor", "reason"),
    [
        (0.012, 0.02, "and the effect exceeds random adapters by less than the floor"),
        (0.012, 0.001, "no clear difference from random adapters"),
    ],
)
def test_a_skip_says_why(value: float, floor: float, reason: str) -> None:
    one = signal_of(value, floor=floor)
    judgement = no_signal(one)
    assert (judgement.verdict, judgement.score) == (Verdict.SKIP, None)
    assert judgement.message == f"effect too weak to judge its shape: {one.text}, {reason}"
    assert (judgement.prediction, judgement.null_criteria) == (one.prediction, one.null_criteria)


def test_a_measurement_ends_below_the_floor() -> None:
    with pytest.raises(NoSignal) as skip:
        require_signal(0.0199, 0.02)
    reason = "0.0199 nats (floor 0.02), below its floor"
    assert str(skip.value) == f"effect too weak to judge its shape: {reason}"
    require_signal(0.02, 0.02)
    require_signal(0.0, 0.0)

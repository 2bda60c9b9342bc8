"""Thresholds that switch their condition off, in every kind and in the rules that read them."""

from __future__ import annotations

import math
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_sway.probes.base import NullSample, OptionsError, ProbeOptions
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.probes.external_perplexity import ExternalPerplexity
from pytest_sway.probes.judging.decay import DecayCriteria, judge_decay
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect
from pytest_sway.probes.judging.no_harm import judge_no_harm, mean_harm
from pytest_sway.probes.judging.shape_signal import signal
from pytest_sway.probes.judging.thresholds import (
    Finite,
    LeastZ,
    Margin,
    Off,
    Rate,
    is_off,
    largest_loss,
    threshold_notes,
)
from pytest_sway.probes.registry import find, kinds
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import Interval

ORDER = [Verdict.PASS, Verdict.WARN, Verdict.FAIL]
ALWAYS_JUDGED = {"assert_convergence_ratio_lte", "assert_instability_events_lte", "assert_saturation_between"}
"""Bounds on a ratio and a count, where no number asks for nothing, and a band that is off unless set."""
NULLS = NullSample(tuple(Measurement(raw=0.01 + 0.0005 * i) for i in range(-10, 11)), "norm_matched")


def effect(
    raw: float, interval: Interval | None, bar: EffectCriteria, nulls: NullSample | None = NULLS
) -> Verdict:
    return judge_effect(Measurement(raw=raw), interval, nulls, bar, subtract_null=False).verdict


@pytest.mark.parametrize("kind", kinds())
def test_every_assertion_of_every_kind_can_be_switched_off(kind: str) -> None:
    found = find(kind)
    assert found is not None
    fields = found.options_type().model_fields
    asserted = {name for name in fields if name.startswith("assert_")} - ALWAYS_JUDGED
    if found.claim.value == "no_harm":
        asserted.discard("assert_z_gte")  # has no effect there, and a note of its own
    assert [name for name in asserted if not any(isinstance(m, Off) for m in fields[name].metadata)] == []


def test_what_is_switched_off_is_said_once_an_option() -> None:
    probe = DeltaKL(prompts=["a"], assert_mean_gte=0, assert_z_gte=-1)
    assert dict(threshold_notes(probe.options)).keys() == {"assert_mean_gte", "assert_z_gte"}
    assert list(threshold_notes(DeltaKL(prompts=["a"]).options)) == []
    (note,) = dict(threshold_notes(ExternalPerplexity(assert_mean_delta_gte=0).options)).values()
    assert note == (
        "assert_mean_delta_gte: 0 switches this condition off, so it cannot fail or warn; "
        "to allow almost no loss, write a small negative number, such as -0.001"
    )
    (note,) = dict(threshold_notes(DeltaKL(prompts=["a"], assert_mean_gte=0).options)).values()
    assert note == "assert_mean_gte: 0 switches this condition off, so it cannot fail or warn"


class Some(ProbeOptions):
    z: LeastZ = 1.0
    rate: Rate = 0.5
    number: Finite = 1.0
    margin: Margin = -0.1
    band: Annotated[float | None, Off(at_most=0)] = None


@pytest.mark.parametrize(
    ("name", "value", "off"),
    [
        ("z", 0, True),
        ("z", -1, True),
        ("z", -math.inf, True),
        ("z", 1e-9, False),
        ("rate", 1, True),
        ("rate", 3, True),
        ("rate", math.inf, True),
        ("rate", 0, False),
        ("rate", 0.999, False),
        ("number", 0, False),
        ("band", -0.5, True),
        ("band", 0.5, False),
    ],
)
def test_where_a_threshold_is_off(name: str, value: float, off: bool) -> None:
    options = Some(**{name: value})
    assert is_off(options, name) is off
    assert math.isfinite(getattr(options, name))


def test_a_threshold_of_none_is_not_switched_off() -> None:
    assert not is_off(Some(), "band")


@pytest.mark.parametrize(("value", "kept"), [(-5.0, -5.0), (-math.inf, 0.0), (0.0, 0.0), (2.0, 2.0)])
def test_a_floor_of_minus_infinity_is_zero(value: float, kept: float) -> None:
    assert Some(z=value).z == kept


def test_an_infinite_rate_is_one() -> None:
    assert Some(rate=math.inf).rate == 1.0


@pytest.mark.parametrize(
    ("value", "loss"), [(-0.1, 0.1), (-2.0, 2.0), (0.5, -0.5), (0.0, math.inf), (-math.inf, math.inf)]
)
def test_the_largest_loss_of_a_margin(value: float, loss: float) -> None:
    assert largest_loss(Some(margin=value), "margin") == loss


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "z",
            math.nan,
            "no result can reach this value; write a finite number, or 0 to switch the condition off",
        ),
        (
            "margin",
            math.nan,
            "no result can reach this value; write a finite number, or 0 to switch the condition off",
        ),
        (
            "margin",
            math.inf,
            "no result can reach this value; write a finite number, or 0 to switch the condition off",
        ),
        (
            "rate",
            math.nan,
            "this cannot be a rate; write a number from 0 (nothing is allowed) to 1 (condition switched off)",
        ),
        (
            "rate",
            -0.1,
            "this cannot be a rate; write a number from 0 (nothing is allowed) to 1 (condition switched off)",
        ),
    ],
)
def test_what_is_wrong_with_a_threshold(name: str, value: float, says: str) -> None:
    with pytest.raises(ValidationError) as error:
        Some(**{name: value})
    assert error.value.errors()[0]["msg"] == f"Value error, {says}"


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["assert_mean_gte", "assert_z_gte"])
def test_what_nothing_reaches_is_refused(name: str, value: float) -> None:
    with pytest.raises(OptionsError, match="no result can reach this value"):
        DeltaKL(prompts=["a"], **{name: value})


numbers = st.floats(-1, 1)


@settings(max_examples=50)
@given(numbers, numbers, st.floats(0, 1), st.floats(1e-6, 1), st.floats(0.1, 5), st.booleans())
def test_a_condition_less_never_makes_a_verdict_worse(
    raw: float, middle: float, width: float, floor: float, z: float, has_nulls: bool
) -> None:
    interval, nulls = Interval(middle - width, middle + width), NULLS if has_nulls else None
    judged = {
        bars: ORDER.index(effect(raw, interval, EffectCriteria(*bars), nulls))
        for bars in ((floor, z), (0.0, z), (-1.0, z), (floor, 0.0), (floor, -3.0), (0.0, 0.0))
    }
    assert judged[0.0, z] == judged[-1.0, z] <= judged[floor, z]
    assert judged[floor, 0.0] == judged[floor, -3.0] <= judged[floor, z]
    assert judged[0.0, 0.0] <= min(judged[0.0, z], judged[floor, 0.0])


SURE, UNSURE, BELOW = Interval(0.001, 0.5), Interval(-0.1, 0.5), Interval(-0.5, -0.1)


@pytest.mark.parametrize(
    ("raw", "interval", "bar", "expected"),
    [
        (0.1, SURE, EffectCriteria(0.2, 3), Verdict.WARN),  # below the floor
        (0.1, SURE, EffectCriteria(0, 3), Verdict.PASS),
        (0.1, UNSURE, EffectCriteria(0, 3), Verdict.WARN),  # the interval is judged
        (0.012, SURE, EffectCriteria(0, 3), Verdict.WARN),  # and z
        (-0.1, BELOW, EffectCriteria(0, 3), Verdict.FAIL),
        (0.012, SURE, EffectCriteria(0, 0), Verdict.PASS),
        (0.012, UNSURE, EffectCriteria(0, 0), Verdict.WARN),
        (0.012, None, EffectCriteria(0, 0), Verdict.WARN),
        (-0.3, BELOW, EffectCriteria(0, 0), Verdict.FAIL),
        (0.012, SURE, EffectCriteria(0.02, 0), Verdict.WARN),  # the floor is judged
    ],
)
def test_what_is_left_decides(
    raw: float, interval: Interval | None, bar: EffectCriteria, expected: Verdict
) -> None:
    assert effect(raw, interval, bar) is expected


def test_without_z_the_interval_decides_if_an_effect_is_real() -> None:
    for interval, real in ((SURE, True), (UNSURE, False), (None, False)):
        found = judge_effect(Measurement(raw=0.1), interval, NULLS, EffectCriteria(0, 0), subtract_null=False)
        assert found.distinguishable is real


@pytest.mark.parametrize(
    ("value", "floor", "z", "present", "within"),
    [
        (0.1, 0.5, 2, False, False),
        (0.1, 0, 2, True, False),
        (0.0101, 0, 2, False, True),
        (0.0101, 0, 0, True, False),
        (0.0099, 0, 0, False, True),
        (0.0101, 0.5, -1, False, True),
    ],
)
def test_a_signal_without_a_floor_or_a_z(
    value: float, floor: float, z: float, present: bool, within: bool
) -> None:
    found = signal(Measurement(raw=value), NULLS, "raw", floor, z)
    assert (found.present, found.within_null) == (present, within)


def test_a_signal_of_nothing_has_no_shape_without_nulls_either() -> None:
    found = signal(Measurement(raw=0.0), None, "raw", 0, 2)
    assert (found.present, found.within_null) == (False, True)


def test_without_a_half_life_only_what_is_gone_fails() -> None:
    def verdict(last: float, half_life: float) -> Verdict:
        measured = Measurement(
            raw=1.0, samples=(-2.0, -2.1, -1.9, -2.0), statistics={"signal": 0.5, "last": last}
        )
        bar = DecayCriteria(half_life, 4, "turns", "turn 4", "dialogues", 0.02, 2.0)
        return judge_decay(measured, None, bar, detail="", undecided="").verdict

    assert verdict(0.1, 2.0) is Verdict.WARN
    assert verdict(0.1, 0.0) is Verdict.PASS
    assert verdict(0.01, 0.0) is Verdict.FAIL


def test_a_margin_that_is_off_is_measured_and_not_judged() -> None:
    lost = mean_harm("nats lost", [1.0, 1.1, 0.9], math.inf)
    judged = judge_no_harm([lost])
    assert (judged.verdict, judged.score) == (Verdict.PASS, None)
    other = mean_harm("nats lost", [1.0, 1.1, 0.9], 0.1)
    assert judge_no_harm([lost, other]).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-0.5, -0.6, -0.55], Verdict.PASS),
        ([-0.1, 0.1, 0.0], Verdict.WARN),
        ([0.0, 0.01, -0.01], Verdict.FAIL),
    ],
)
def test_a_margin_below_0_asks_for_a_gain(values: list[float], expected: Verdict) -> None:
    judged = judge_no_harm([mean_harm("nats lost", values, -0.1)], untouched=not any(values))
    assert judged.verdict is expected
    assert judged.score is not None
    assert 0 <= judged.score <= 1
    assert (judged.score > 0.5) is (expected is Verdict.PASS)


def test_an_untouched_model_gains_nothing() -> None:
    judged = judge_no_harm([mean_harm("nats lost", [0.0, 0.0, 0.0], -0.1)], untouched=True)
    assert judged.verdict is Verdict.FAIL

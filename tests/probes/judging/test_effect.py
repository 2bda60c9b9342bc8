"""The effect rule, case by case, and its score."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.base import Judgement
from pytest_sway.probes.judging.effect import (
    EffectCriteria,
    judge_effect,
    lower_verdict,
    score_every_item,
)
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import Interval
from pytest_sway.statistics.prediction import predict
from tests.support.null_samples import EIGHT, null_sample

BAR = EffectCriteria(floor=0.02, z=3.0)


def judged(effect: float, interval: Interval | None, draws: tuple[float, ...] | None = EIGHT):
    population = replace(null_sample(*draws), resolution=1e-13) if draws else None
    return judge_effect(Measurement(raw=effect), interval, population, BAR, subtract_null=True)


@pytest.mark.parametrize(
    ("effect", "interval", "draws", "verdict", "says"),
    [
        (0.2, Interval(0.1, 0.3), EIGHT, Verdict.PASS, "real and large enough: "),
        (
            0.012,
            Interval(0.01, 0.014),
            EIGHT,
            Verdict.FAIL,
            "real (z +4.81σ) but small: 0.01095 nats, floor 0.02",
        ),
        (0.0001, Interval(0.00005, 0.03), EIGHT, Verdict.FAIL, "less than random adapters: "),
        (0.0012, Interval(0.0001, 0.05), EIGHT, Verdict.FAIL, "no clear difference from random adapters: "),
        (0.018, Interval(0.01, 0.04), EIGHT, Verdict.WARN, "below the floor"),
        (0.2, None, EIGHT, Verdict.WARN, "add items"),
        (0.2, Interval(0.0005, 0.6), EIGHT, Verdict.WARN, "the 95 % interval starts at"),
        (
            0.05,
            Interval(0.04, 0.06),
            (0.01, 0.04, 0.02, 0.005),
            Verdict.WARN,
            "increase the option runs of null_adapter",
        ),
        (
            0.2,
            Interval(0.1, 0.3),
            None,
            Verdict.PASS,
            "not compared with random adapters, so only the floor and the 95 % interval decide",
        ),
        (0.01, Interval(0.005, 0.03), None, Verdict.FAIL, "too small: 0.01"),
        (0.2, Interval(0.1, 0.3), (0.001, 0.001, 0.001), Verdict.PASS, "0 of 3 random adapters"),
        (0.03, Interval(0.02, 0.04), (0.05, 0.05, 0.05), Verdict.FAIL, "3 of 3 random adapters"),
        (
            0.0,
            Interval(0.0, 0.0),
            (0.0, 0.0, 0.0),
            Verdict.FAIL,
            "no clear difference from random adapters: ",
        ),
    ],
)
def test_the_rule(effect, interval, draws, verdict, says) -> None:
    found = judged(effect, interval, draws)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        (Interval(-0.2, -0.05), "wrong direction: "),
        (Interval(-0.3, 0.1), "less than random adapters: "),
        (None, "less than random adapters: "),
    ],
)
def test_the_wrong_way_is_what_lies_surely_below_zero(interval: Interval | None, says: str) -> None:
    nulls = replace(null_sample(*EIGHT), scale="raw")
    found = judge_effect(Measurement(raw=-0.1), interval, nulls, BAR, subtract_null=False)
    assert found.verdict is Verdict.FAIL
    assert found.message.startswith(says)


@pytest.mark.parametrize(
    ("samples", "floor", "score"),
    [
        ((0.4, 0.4, 0.4), 0.1, 0.8),
        ((0.8, 0.8, 0.0, 0.0), 0.1, (0.8 / 0.9) / 2),  # half of what was asked
        ((0.8, -0.8), 0.1, (0.8 / 0.9) / 2),
        ((0.1, 0.7), 0.0, 0.8),
        ((), 0.1, 0.8),
    ],
)
def test_what_was_not_learned_weighs(samples: tuple[float, ...], floor: float, score: float) -> None:
    judgement = Judgement(Verdict.PASS, "", 0.8)
    assert score_every_item(judgement, samples, floor).score == pytest.approx(score)
    assert score_every_item(replace(judgement, score=None), samples, floor).score is None


@pytest.mark.parametrize(
    ("effect", "interval", "is_open"),
    [
        (0.00105, Interval(0.001, 0.0011), False),  # noise has failed, wherever its interval ends
        (0.2, Interval(0.1, 0.3), False),
        (0.2, Interval(0.00105, 0.4), True),  # whether its interval reaches 0, net of the null's mean
        (0.019, Interval(0.017, 0.0211), True),  # whether it is below the floor altogether
        (0.021, Interval(0.02, 0.022), True),
    ],
)
def test_draws_are_needed_where_the_verdict_turns_on_them(effect, interval, is_open) -> None:
    assert judged(effect, interval).needs_more_draws(20) is is_open


def test_without_a_z_the_interval_decides_whether_an_effect_is_real() -> None:
    criteria = EffectCriteria(floor=0.02, z=0)
    near = judge_effect(
        Measurement(raw=0.00105), Interval(0.001, 0.0011), null_sample(*EIGHT), criteria, subtract_null=True
    )
    assert near.needs_more_draws(20)


def test_a_null_too_wide_for_any_effect_asks_for_a_narrower_one() -> None:
    wide = replace(null_sample(0.005, 0.01, 0.02, 0.04, 0.007, 0.013, 0.03, 0.009), scale="inverse_root")
    found = judge_effect(Measurement(raw=0.6), Interval(0.5, 0.7), wide, BAR, subtract_null=True)
    assert found.verdict is Verdict.WARN
    assert "no effect could reach 3σ (measure more prompts, or more tokens of each)" in found.message


def test_the_floor_applies_to_what_is_left_of_the_null() -> None:
    """At large norms noise alone passes an absolute floor."""
    loud = (0.030, 0.032, 0.029, 0.031, 0.033, 0.028, 0.030, 0.031)
    found = judged(0.045, Interval(0.040, 0.050), loud)
    assert found.verdict is not Verdict.PASS


def test_harm_done_by_noise_is_no_credit() -> None:
    """An effect of 0.01 is not 0.51 because random adapters lose 0.5."""
    draws = replace(null_sample(-0.5, -0.48, -0.51, -0.52, -0.49, -0.5), scale="raw")
    found = judge_effect(Measurement(raw=0.01), Interval(0.005, 0.015), draws, BAR, subtract_null=True)
    assert found.verdict is Verdict.FAIL
    assert "but small: " in found.message


def test_the_effect_may_be_another_number_than_raw() -> None:
    draws = replace(null_sample(gain=[0.0, 0.01, -0.01, 0.02, 0.01, -0.02]), scale="raw")
    measured = Measurement(raw=0.0, statistics={"gain": 0.3})
    found = judge_effect(measured, Interval(0.2, 0.4), draws, BAR, subtract_null=False, statistic="gain")
    assert found.verdict is Verdict.PASS
    assert found.score == pytest.approx(0.3 / 0.32)
    assert found.prediction is not None
    assert found.prediction.mean == pytest.approx(0.01 / 6)


@given(st.floats(0.0, 5.0), st.floats(0.0, 1.0))
def test_the_score_agrees_with_the_verdict(effect: float, half: float) -> None:
    found = judged(effect, Interval(max(effect - half, 0), effect + half))
    score = found.score or 0.0
    assert 0 <= score < 1
    if found.verdict is Verdict.PASS:
        assert score >= 0.5
    if found.verdict is Verdict.WARN:
        assert score <= 0.5
    if found.verdict is Verdict.FAIL:
        assert score <= 0.49


def test_the_score_is_a_half_at_the_floor() -> None:
    found = judge_effect(Measurement(raw=0.02), Interval(0.019, 0.021), None, BAR, subtract_null=False)
    assert found.score == pytest.approx(0.5)


def plain(effect: float, interval: Interval | None, bar: EffectCriteria = BAR, *draws: float):
    """Signed, and nothing is taken off."""
    nulls = replace(null_sample(*draws), scale="raw") if draws else None
    return judge_effect(Measurement(raw=effect), interval, nulls, bar, subtract_null=False)


ALONE = "not compared with random adapters, so only the floor and the 95 % interval decide"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            plain(0.2, Interval(0.1, 0.3)),
            f"large enough: 0.2 nats (floor 0.02; {ALONE})",
        ),
        (
            plain(0.2, Interval(0.1, 0.3), EffectCriteria(0, 0, "points")),
            "real: 0.2 points (no floor; z is not checked)",
        ),
        (
            plain(0.01, Interval(0.005, 0.03)),
            f"too small: 0.01 nats (floor 0.02; {ALONE})",
        ),
        (
            plain(0.03, Interval(0.005, 0.01), BAR),
            f"too small: 0.03 nats (floor 0.02; {ALONE})",
        ),
        (
            plain(0.03, Interval(-0.2, -0.1), EffectCriteria(0, 0)),
            "no gain: 0.03 nats (no floor; z is not checked)",
        ),
        (
            plain(-0.01, Interval(-0.2, 0.1), EffectCriteria(0, 0)),
            (
                "uncertain, because the 95 % interval starts at -0.2 (add items): "
                "-0.01 nats (no floor; z is not checked)"
            ),
        ),
        (
            plain(0.2, None, EffectCriteria(0.02, 3), 0.1, 0.5, -0.4),
            (
                "not clearly more than random adapters (increase the option runs of null_adapter, or the "
                "option positions); "
                "one item is not enough to decide (add items): 0.2 nats (floor 0.02; z +0.23σ, needs 3)"
            ),
        ),
    ],
)
def test_messages(found: Judgement, message: str) -> None:
    assert found.message == message


@pytest.mark.parametrize(("effect", "size"), [(0.2, "0.199 nats more"), (0.0005, "0.0005 nats less")])
def test_a_divergence_is_told_as_its_distance_from_the_null(effect: float, size: str) -> None:
    found = judged(effect, Interval(0.0, 0.3), (0.001, 0.0011, 0.0009))
    than = (
        ""
        if found.message.startswith("no clear difference from random adapters")
        else " than random adapters"
    )
    assert f"{size}{than} (floor 0.02; z " in found.message


def test_what_is_at_its_null_is_above_it() -> None:
    assert ": 0 nats more (floor" in judged(0.001, Interval(0.0, 0.3), (0.001, 0.0011, 0.0009)).message


def test_the_judgement_holds_the_items_interval() -> None:
    """Not that of the effect net of its null."""
    assert judged(0.2, Interval(0.1, 0.3)).interval == Interval(0.1, 0.3)


def test_zero_is_no_effect_without_a_floor() -> None:
    assert plain(0.0, Interval(0.0, 0.0), EffectCriteria(0, 3), -1, 0, 1).verdict is Verdict.FAIL
    assert plain(0.0, Interval(-0.1, 0.2), EffectCriteria(0, 0)).verdict is Verdict.WARN


def test_an_interval_that_ends_at_the_floor_is_not_surely_below_it() -> None:
    assert plain(0.02, Interval(0.01, 0.02)).verdict is Verdict.PASS
    assert plain(0.02, Interval(0.0, 0.03)).verdict is Verdict.WARN
    assert plain(-0.1, Interval(-0.2, 0.0), BAR, *EIGHT).message.startswith("less than random adapters")


def test_a_z_at_its_bar_decides() -> None:
    draws = (-1.0, 0.0, 1.0)
    z = predict(4.0, draws, "raw").z
    assert z is not None
    bar = EffectCriteria(0.02, z)
    assert plain(4.0, Interval(3.0, 5.0), bar, *draws).verdict is Verdict.PASS
    assert plain(-4.0, Interval(-5.0, -3.0), bar, *draws).message.startswith("wrong direction: ")


def test_an_effect_that_does_not_stand_out_scores_below_a_half() -> None:
    found = plain(0.2, Interval(0.1, 0.3), EffectCriteria(0.02, 3), 0.1, 0.5, -0.4)
    assert (found.verdict, found.score) == (Verdict.WARN, 0.49)


def test_with_a_z_the_null_says_whether_an_effect_is_real() -> None:
    assert plain(0.2, Interval(0.1, 0.3), EffectCriteria(0.02, 3), 0.1, 0.5, -0.4).distinguishable is False
    assert plain(0.2, Interval(0.1, 0.3), EffectCriteria(0.02, 0), 0.1, 0.5, -0.4).distinguishable is True


def test_draws_decide_either_way_and_no_margin_of_what_is_not_net() -> None:
    (criterion,) = plain(0.2, Interval(0.1, 0.3), BAR, *EIGHT).null_criteria
    assert (criterion.two_sided, criterion.margins, criterion.least_z) == (True, (), 3.0)
    (net,) = judged(0.2, Interval(0.1, 0.3)).null_criteria
    mean = sum(EIGHT) / len(EIGHT)
    assert net.margins == pytest.approx((0.18 - mean, 0.1 - mean, 0.28 - mean))
    (noise,) = judged(0.0012, Interval(0.0001, 0.05)).null_criteria
    assert noise.margins == pytest.approx((0.0012 - mean - 0.02,))
    (small,) = judged(0.012, Interval(0.01, 0.014)).null_criteria
    assert small.margins == pytest.approx((-0.008 - mean, -0.006 - mean))


@pytest.mark.parametrize(
    ("verdict", "worse", "score", "kept"),
    [
        (Verdict.PASS, Verdict.PASS, 0.8, 0.8),
        (Verdict.PASS, Verdict.WARN, 0.8, 0.5),
        (Verdict.WARN, Verdict.FAIL, 0.5, 0.49),
        (Verdict.FAIL, Verdict.WARN, 0.3, 0.3),
        (Verdict.PASS, Verdict.FAIL, None, None),
    ],
)
def test_a_further_condition_lowers_verdict_and_score(verdict, worse, score, kept) -> None:
    order = [Verdict.PASS, Verdict.WARN, Verdict.FAIL]
    found = lower_verdict(Judgement(verdict, "as measured", score), worse, "and yet")
    assert found.verdict is max(verdict, worse, key=order.index)
    assert (found.message, found.score) == ("and yet; as measured", kept)


def test_an_item_of_nothing_scores_nothing_where_there_is_no_floor() -> None:
    assert score_every_item(Judgement(Verdict.PASS, "", 1.0), (0.0, 0.5), 0.0).score == 0.5

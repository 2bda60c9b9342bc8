"""What the rules must keep on any numbers: order, units, and more of what is wanted is never worse."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.base import Judgement, NullSample
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, worst_verdict
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import (
    Interval,
    clustered_interval,
    jackknife_interval,
    positive_interval,
    rate_interval,
    t_interval,
)
from pytest_sway.statistics.ratio_intervals import contrast_interval, fieller_interval
from pytest_sway.suites.composite import composite
from tests.support.null_samples import null_sample
from tests.support.report_pages import probes

BAR = EffectCriteria(floor=0.02, z=3.0)
DRAWS = st.lists(st.floats(1e-4, 0.5), min_size=2, max_size=20)
ITEMS = st.lists(st.floats(1e-3, 10.0), min_size=2, max_size=30)
SIGNED = st.lists(st.floats(-5, 5), min_size=2, max_size=30)
EFFECT, HALF, MORE = st.floats(-1, 2), st.floats(0.001, 1), st.floats(0, 1)
SUBTRACT = st.booleans()


def judged(
    effect: float, half: float, nulls: NullSample | None, bar: EffectCriteria = BAR, subtract: bool = False
) -> Judgement:
    interval = Interval(effect - half, effect + half)
    return judge_effect(Measurement(raw=effect), interval, nulls, bar, subtract_null=subtract)


def not_worse(found: Judgement, than: Judgement) -> bool:
    return worst_verdict([found.verdict, than.verdict]) is than.verdict


@given(EFFECT, HALF, MORE, DRAWS, SUBTRACT)
def test_a_larger_effect_is_never_judged_worse(
    effect: float, half: float, more: float, draws: list[float], subtract: bool
) -> None:
    nulls = replace(null_sample(*draws), scale="raw")
    before = judged(effect, half, nulls, subtract=subtract)
    after = judged(effect + more, half, nulls, subtract=subtract)
    assert not_worse(after, before)
    assert (after.score or 0.0) >= (before.score or 0.0)


@given(st.floats(0.001, 2), HALF, MORE, DRAWS)
def test_a_larger_divergence_is_never_judged_worse(
    effect: float, half: float, more: float, draws: list[float]
) -> None:
    nulls = replace(null_sample(*draws), scale="inverse_root")
    before, after = (judged(one, half, nulls, subtract=True) for one in (effect, effect + more))
    assert not_worse(after, before)
    assert (after.score or 0.0) >= (before.score or 0.0)


@given(EFFECT, HALF, st.floats(0, 0.9), DRAWS)
def test_a_surer_effect_above_its_bars_is_never_judged_worse(
    effect: float, half: float, share: float, draws: list[float]
) -> None:
    """Below its bars a surer effect is a surer failure."""
    nulls = replace(null_sample(*draws), scale="raw")
    before, after = (judged(effect, width, nulls) for width in (half, half * share))
    assert not_worse(after, before) or effect < BAR.floor


@given(EFFECT, HALF, DRAWS, st.sampled_from([0.125, 8.0, 1024.0]), st.sampled_from(["raw", "inverse_root"]))
def test_the_unit_decides_nothing(
    effect: float, half: float, draws: list[float], unit: float, scale: str
) -> None:
    """Powers of two, which change no bit but the exponent's."""
    here = replace(null_sample(*draws), scale=scale)
    there = replace(null_sample(*(one * unit for one in draws)), scale=scale)
    before = judged(effect, half, here)
    after = judged(effect * unit, half * unit, there, replace(BAR, floor=BAR.floor * unit))
    assert after.verdict is before.verdict
    assert after.score == pytest.approx(before.score)


@given(EFFECT, HALF, DRAWS, st.randoms(use_true_random=False))
def test_the_order_of_the_null_adapters_decides_nothing(
    effect: float, half: float, draws: list[float], source: random.Random
) -> None:
    other = source.sample(draws, len(draws))
    before, after = (judged(effect, half, null_sample(*them)) for them in (draws, other))
    assert after.verdict is before.verdict
    assert after.score == pytest.approx(before.score)


@pytest.mark.parametrize(("interval", "items"), [(t_interval, SIGNED), (positive_interval, ITEMS)])
def test_the_order_of_the_items_decides_nothing(
    interval: Callable[[Sequence[float]], Interval | None], items: st.SearchStrategy[list[float]]
) -> None:
    @given(items, st.randoms(use_true_random=False))
    def holds(values: list[float], source: random.Random) -> None:
        before, after = interval(values), interval(source.sample(values, len(values)))
        assert before is not None
        assert after is not None
        assert (after.low, after.high) == pytest.approx((before.low, before.high), rel=1e-9, abs=1e-12)

    holds()


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_probes_decides_nothing(source: random.Random) -> None:
    results = probes()
    shuffled = source.sample(results, len(results))
    assert composite(shuffled).overall == pytest.approx(composite(results).overall)


@given(st.integers(2, 4))
def test_every_probe_given_several_times_has_the_composite_of_one(times: int) -> None:
    assert composite(probes() * times).overall == pytest.approx(composite(probes()).overall)


@given(st.integers(0, 30), st.floats(0, 1))
def test_a_higher_score_never_lowers_the_composite(at: int, score: float) -> None:
    results = list(probes())
    at %= len(results)
    old = results[at]
    if old.score is None or old.verdict is not Verdict.PASS or score < old.score:
        return
    results[at] = replace(old, score=score)
    assert composite(results).overall >= composite(probes()).overall - 1e-12


WIDTHS: dict[str, Callable[[np.ndarray], Interval | None]] = {
    "t": lambda values: t_interval(values.tolist()),
    "positive": lambda values: positive_interval(np.exp(values).tolist()),
    "clustered": lambda values: clustered_interval(values.tolist(), [i // 2 for i in range(len(values))]),
    "contrast": lambda values: contrast_interval(values.tolist(), (values + 2).tolist(), 0.5),
    "ratio": lambda values: fieller_interval((values + 9).tolist(), (np.roll(values, 1) + 9).tolist()),
    "rate": lambda values: rate_interval(int((values > 0).sum()), len(values)),
    "jackknife": lambda values: jackknife_interval(
        len(values), lambda kept: float(values[list(kept)].mean())
    ),
}


@pytest.mark.parametrize("kind", WIDTHS)
def test_half_of_the_items_give_intervals_root_two_times_as_wide(kind: str) -> None:
    """Over 100 samples of 80 items: within 8 % of √2."""
    rng, interval = np.random.default_rng(5), WIDTHS[kind]
    wide = narrow = 0.0
    for _ in range(100):
        values = rng.normal(size=80) * 0.7
        whole, half = interval(values), interval(values[:40])
        assert whole is not None
        assert half is not None
        narrow, wide = narrow + whole.high - whole.low, wide + half.high - half.low
    assert wide / narrow == pytest.approx(2**0.5, rel=0.08)

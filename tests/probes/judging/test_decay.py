"""The rule of decay, case by case."""

from __future__ import annotations

import math

import pytest

from pytest_sway.probes.base import NullSample
from pytest_sway.probes.judging.decay import DecayCriteria, judge_decay, log_slopes
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import t_interval
from tests.support.null_samples import null_sample

DRAWS = (0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.011)
QUIET = null_sample(signal=DRAWS, last=DRAWS)
BAR = DecayCriteria(
    half_life=10, span=100, unit="tokens", end="100 tokens", curves="prompts", floor=0.02, z=2.0
)
FLAT = (0.001, -0.001, 0.0005, -0.0005)
SLOW = tuple(-math.log(2) / life for life in (20, 21, 19, 20))
FAST = tuple(-math.log(2) / life for life in (5, 5.1, 4.9, 5))
UNSURE = tuple(-math.log(2) / life for life in (200, 9, 50, 8))
LEFT = "; at 100 tokens the effect is 28.6 times that of random adapters"


def judged(
    slopes: tuple[float, ...] = FLAT,
    first: float = 0.4,
    last: float = 0.3,
    nulls: NullSample | None = QUIET,
    bar: DecayCriteria = BAR,
    undecided: str = "",
):
    measured = Measurement(raw=None, samples=slopes, statistics={"signal": first, "last": last})
    return judge_decay(measured, nulls, bar, detail="DETAIL", undecided=undecided)


@pytest.mark.parametrize(("slope", "life"), [(-math.log(2), 1.0), (-math.log(2) / 30, 30.0)])
def test_a_half_life_is_that_of_the_slope(slope: float, life: float) -> None:
    assert BAR.life(slope) == pytest.approx(life)


@pytest.mark.parametrize("slope", [-1e-9, 0.0, 0.5, 2.0])
def test_a_half_life_is_ten_spans_at_most(slope: float) -> None:
    assert BAR.life(slope) == BAR.cap == 1000


@pytest.mark.parametrize(
    ("slopes", "status"),
    [
        ((), "degenerate"),
        ((0.01, 0.011, 0.009), "non_monotonic"),
        ((0.0009, 0.00091, 0.00089), "non_monotonic"),  # it doubles within ten spans
        ((0.0005, 0.00051, 0.00049), "stable"),
        ((0.01,), "stable"),  # one curve has no interval
        ((0.0001, 0.00011, 0.00009), "stable"),  # it grows by less than is reported
        ((-0.0001, 0.0), "stable"),
        ((-0.01, -0.01), "ok"),
    ],
)
def test_the_status_of_the_fit(slopes: tuple[float, ...], status: str) -> None:
    assert BAR.fit_status(slopes) == status


def test_slopes_are_of_logarithms_on_each_curves_own_axis() -> None:
    axes = [[0.0, 1.0, 2.0], [10.0, 20.0, 40.0], [0.0, 1.0, 2.0], [0.0]]
    curves = [[4.0, 2.0, 1.0], [math.exp(-0.1 * x) for x in axes[1]], [1.0, 0.0, 1.0], [1.0]]
    assert log_slopes(axes, curves) == pytest.approx([-math.log(2), -0.1])
    assert log_slopes([[0.0, 1.0]], [[1.0, 0.0]]) == []
    assert log_slopes([[0.0, 2.0]], [[1.0, math.e]]) == pytest.approx([0.5])
    assert log_slopes([[0.0, 1.0, 3.0]], [[1.0, math.e, math.e]]) == pytest.approx([2 / 7])


def test_axes_and_curves_that_are_no_pairs_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        log_slopes([[0.0, 1.0]], [])


@pytest.mark.parametrize(
    ("slopes", "verdict", "message"),
    [
        (FLAT, Verdict.PASS, "the effect lasts: no decay over 100 tokens DETAIL"),
        (SLOW, Verdict.PASS, "the effect lasts: half-life 20.0 tokens (at least 10 required) DETAIL"),
        (
            FAST,
            Verdict.WARN,
            f"the effect fades too fast: half-life 5.0 tokens (at least 10 required){LEFT} DETAIL",
        ),
        (
            UNSURE,
            Verdict.WARN,
            (
                "undecided, the effect may fade too fast: half-life 15.3 tokens (at least 10 required), "
                f"but the 95 % interval of the half-life starts at 6.1; add prompts{LEFT} DETAIL"
            ),
        ),
        (
            FLAT[:3],
            Verdict.WARN,
            "undecided: only 3 prompts show an effect at every point, but at least 4 are needed DETAIL",
        ),
        (
            (),
            Verdict.WARN,
            "undecided: only 0 prompts show an effect at every point, but at least 4 are needed DETAIL",
        ),
    ],
)
def test_the_rule(slopes: tuple[float, ...], verdict: Verdict, message: str) -> None:
    found = judged(slopes)
    assert (found.verdict, found.message) == (verdict, message)
    assert found.score == {Verdict.PASS: 1.0, Verdict.WARN: 0.5}[verdict]


@pytest.mark.parametrize(("life", "verdict"), [(8, Verdict.WARN), (12, Verdict.PASS)])
def test_the_half_life_that_is_asked_for(life: float, verdict: Verdict) -> None:
    slopes = tuple(-math.log(2) / (life + off) for off in (0.1, -0.1, 0.05, -0.05))
    assert judged(slopes).verdict is verdict


def test_a_long_half_life_has_no_decimals() -> None:
    slopes = tuple(-math.log(2) / life for life in (300, 310, 290, 300))
    assert judged(slopes).message == "the effect lasts: half-life 300 tokens (at least 10 required) DETAIL"


def test_the_interval_is_that_of_the_half_life() -> None:
    found, slopes = judged(SLOW).interval, t_interval(SLOW)
    assert found is not None
    assert slopes is not None
    assert (found.low, found.high) == pytest.approx((-math.log(2) / slopes.low, -math.log(2) / slopes.high))
    assert judged(SLOW[:1]).interval is None


def test_the_prediction_is_that_of_the_signal_and_both_ends_are_decided_by_draws() -> None:
    found = judged()
    assert found.prediction == QUIET.prediction(Measurement(None, statistics={"signal": 0.4}), "signal")
    ratios = [one.prediction.ratio for one in found.null_criteria]
    assert ratios == pytest.approx([0.4 / 0.0105, 0.3 / 0.0105])


def test_what_is_within_its_null_at_the_end_is_gone() -> None:
    found = judged(FAST, last=0.0125)
    assert found.verdict is Verdict.FAIL
    assert found.score == 0.0
    assert found.message.startswith("the effect is gone at 100 tokens: 0.0125 nats (floor 0.02, z +")
    assert found.message.endswith("σ), not clearly more than that of random adapters DETAIL")


def test_without_a_null_what_is_below_the_floor_at_the_end_is_gone() -> None:
    assert judged(FAST, last=0.0199, nulls=None).verdict is Verdict.FAIL
    found = judged(FAST, last=0.02, nulls=None)
    assert (found.verdict, found.message) == (
        Verdict.WARN,
        "the effect fades too fast: half-life 5.0 tokens (at least 10 required) DETAIL",
    )


def test_too_little_to_decide_precedes_what_is_gone() -> None:
    found = judged(FAST, last=0.0, undecided="4 prompts")
    assert (found.verdict, found.message) == (Verdict.WARN, "undecided: at least 4 prompts are needed DETAIL")


def test_without_a_signal_there_is_nothing_to_judge() -> None:
    found = judged(first=0.0125)
    assert (found.verdict, found.score) == (Verdict.SKIP, None)
    assert found.message.startswith("effect too weak to judge its shape: 0.0125 nats (floor 0.02, z +")
    assert len(found.null_criteria) == 1


def test_without_a_half_life_what_is_not_gone_passes() -> None:
    bar = DecayCriteria(0, 100, "tokens", "100 tokens", "prompts", 0.02, 2.0)
    found = judged(FAST, bar=bar)
    assert found.verdict is Verdict.PASS
    assert found.message.startswith("the effect is still there at 100 tokens: 0.3 nats")
    strict = DecayCriteria(0.5, 100, "tokens", "100 tokens", "prompts", 0.02, 2.0)
    assert judged((-3.0, -3.1, -2.9, -3.0), bar=strict).verdict is Verdict.WARN


def test_the_z_that_is_asked_for_is_the_criterias() -> None:
    """0.4 is 5.3σ, 0.018 is between 2 and 4."""
    easy = DecayCriteria(10, 100, "tokens", "100 tokens", "prompts", 0.001, 2.0)
    strict = DecayCriteria(10, 100, "tokens", "100 tokens", "prompts", 0.001, 4.0)
    off = DecayCriteria(10, 100, "tokens", "100 tokens", "prompts", 0.001, 0)
    assert judged(first=0.018, bar=easy).verdict is Verdict.PASS
    assert judged(first=0.018, bar=strict).verdict is Verdict.SKIP
    assert judged(first=0.018, bar=off).verdict is Verdict.PASS
    assert judged(last=0.018, bar=strict).verdict is Verdict.FAIL

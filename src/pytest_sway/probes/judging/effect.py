"""The rule that judges an effect. A pure function of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pytest_sway.probes.base import Judgement, NullSample
from pytest_sway.result import Measurement, Verdict, null_group
from pytest_sway.statistics.intervals import Interval
from pytest_sway.statistics.prediction import Prediction, display_z
from pytest_sway.statistics.sequential import NullCriterion

SHAPE_SCORE = {Verdict.PASS: 1.0, Verdict.WARN: 0.5, Verdict.FAIL: 0.0}
"""A shape has no size: its score is its verdict."""
_CAP = {Verdict.WARN: 0.5, Verdict.FAIL: 0.49}
_REAL_BUT_SMALL = "real (z "
"""How the message of an effect begins that is beyond random adapters and below its floor."""


@dataclass(frozen=True)
class EffectCriteria:
    """What an effect has to clear.

    Attributes:
        floor: smallest effect that matters, net of its control; 0 or less: any effect.
        z: smallest z against the null population; 0 or less: it is not compared with it.
        unit: of the effect, for messages.
    """

    floor: float
    z: float
    unit: str = "nats"

    @property
    def has_floor(self) -> bool:
        """Whether the size of the effect is judged."""
        return self.floor > 0

    @property
    def has_z(self) -> bool:
        """Whether the effect is compared with the null population."""
        return self.z > 0

    @property
    def least(self) -> float:
        """What an interval must reach: the floor, 0 without one."""
        return max(0.0, self.floor)


def judge_effect(
    measured: Measurement,
    interval: Interval | None,
    nulls: NullSample | None,
    criteria: EffectCriteria,
    *,
    subtract_null: bool,
    statistic: str = "raw",
) -> Judgement:
    """More than noise, enough to matter, and on more than these items?

    Score: x / (x + f) of the net effect x and its floor f (without a floor, f = 0), 0 for x ≤ 0; at most 0.49
    where the effect does not stand out from its null, and as :func:`cap_score` says.

    Pass: z ≥ criteria.z, the net effect ≥ its floor, and the lower end of its item interval > 0. Fail: the
    upper end below the floor, or z ≤ -criteria.z, or z and floor both missed. Warn: everything else. Without
    a z (no null, or a constant one) floor and interval decide. A floor or a z of 0 or less is not judged;
    what is left decides: without a floor, z and the interval; without a z, floor and interval; without
    both, the interval. Without a floor, z missed and a net effect that is not above 0 fail together.

    Args:
        measured: its ``raw``, or the number that ``statistic`` names, is the effect.
        interval: the effect's 95 % interval over items; None where there are too few.
        nulls: the null population.
        criteria: what to clear.
        subtract_null: whether the null's mean is the effect's control (divergences, writing).
        statistic: the effect, where ``raw`` of schema 1 is another number.
    """
    effect = measured.statistic(statistic) or 0.0
    prediction = nulls.prediction(measured, statistic) if nulls is not None else None
    # never below 0: that noise does harm is no credit to the adapter
    control = max(0.0, prediction.mean) if prediction is not None and subtract_null else 0.0
    net = effect - control
    z = prediction.z if prediction is not None else None
    big = net >= criteria.floor if criteria.has_floor else net > 0
    checks = _EffectChecks(
        big=big,
        interval=interval.shifted(-control) if interval is not None else None,
        beyond_null=_beyond_null(prediction, criteria, big=big),
        below_null=criteria.has_z and z is not None and z <= -criteria.z,
        surely_negative=interval is not None and interval.high < 0,
        is_compared=prediction is not None or not criteria.has_floor,
        too_wide=prediction is not None and prediction.limit is not None and prediction.limit < criteria.z,
    )
    group = null_group(nulls.family if nulls is not None else "")
    verdict, words = _verdict(checks, criteria, prediction, group)
    if words.startswith(_REAL_BUT_SMALL):
        message = f"{words}: {net:.4g} {criteria.unit}, floor {criteria.floor:g}"
    else:
        size = f"{net:.4g} {criteria.unit}"
        if control:
            than = "" if group in words else f" than {group}"
            size = f"{abs(net):.4g} {criteria.unit} {'more' if net >= 0 else 'less'}{than}"
        floor = f"floor {criteria.floor:g}" if criteria.has_floor else "no floor"
        message = f"{words}: {size} ({floor}; {_null_text(prediction, criteria, group)})"
    score = cap_score(net / (net + criteria.least) if net > 0 else 0.0, verdict)
    score = score if checks.beyond_null else min(score, _CAP[Verdict.FAIL])
    real = checks.beyond_null if criteria.has_z else checks.surely_above_zero
    decides = _null_criteria(prediction, checks, criteria, net if control else None)
    return Judgement(
        verdict, message, score, interval, prediction, distinguishable=real, null_criteria=decides
    )


def _null_criteria(
    prediction: Prediction | None, checks: _EffectChecks, criteria: EffectCriteria, net: float | None
) -> tuple[NullCriterion, ...]:
    """What the draws decide of an effect; ``net``: the effect, where their mean is taken off it.

    A bound of the interval counts where the verdict turns on it: noise that is neither large nor beyond its
    null has failed whatever its interval is.
    """
    if prediction is None:
        return ()
    margins: list[float] = []
    if net is not None:
        margins.append(net - criteria.least)
        if checks.interval is not None:
            if (checks.big and checks.beyond_null) or not criteria.has_z:
                margins.append(checks.interval.low)
            if checks.big or checks.beyond_null:
                margins.append(checks.interval.high - criteria.least)
    return (NullCriterion(prediction, criteria.z, tuple(margins), two_sided=True),)


@dataclass(frozen=True)
class _EffectChecks:
    """Which of an effect's questions are answered with yes; the interval is net of the control."""

    big: bool
    interval: Interval | None
    beyond_null: bool
    below_null: bool
    surely_negative: bool
    is_compared: bool
    too_wide: bool

    @property
    def surely_above_zero(self) -> bool:
        return self.interval is not None and self.interval.low > 0


def _verdict(
    checks: _EffectChecks, criteria: EffectCriteria, prediction: Prediction | None, group: str
) -> tuple[Verdict, str]:
    """The verdict and what it means, the beginning of its message; ``group``: of null adapters."""
    interval = checks.interval
    if checks.below_null:
        return Verdict.FAIL, "wrong direction" if checks.surely_negative else f"less than {group}"
    if not checks.big and not checks.beyond_null:
        return Verdict.FAIL, f"no clear difference from {group}" if checks.is_compared else "too small"
    z = prediction.z if criteria.has_z and prediction is not None else None
    if interval is not None and interval.high < criteria.least:
        if not criteria.has_floor:
            return Verdict.FAIL, "no gain"
        if z is None or not checks.beyond_null:
            return Verdict.FAIL, "too small"
        return Verdict.FAIL, f"{_REAL_BUT_SMALL}{display_z(z):+.2f}σ) but small"
    if checks.big and checks.beyond_null and checks.surely_above_zero:
        if not criteria.has_floor:
            return Verdict.PASS, "real"
        return Verdict.PASS, "large enough" if z is None else "real and large enough"
    return Verdict.WARN, _shortcomings(checks, criteria, group)


def _beyond_null(prediction: Prediction | None, criteria: EffectCriteria, *, big: bool) -> bool:
    """Far enough above the null; without a z, above every draw, and large enough to matter."""
    if not criteria.has_z:
        return True
    if prediction is not None and prediction.z is not None:
        return prediction.z >= criteria.z
    return (big or not criteria.has_floor) and (prediction is None or prediction.rank == 0)


def _null_text(prediction: Prediction | None, criteria: EffectCriteria, group: str) -> str:
    if not criteria.has_z:
        return "z is not checked"
    if prediction is None:
        return f"not compared with {group}, so only the floor and the 95 % interval decide"
    if prediction.z is None:
        reached = f"{prediction.rank} of {prediction.n} {group} reach this effect"
        decides = "so this number, the floor and the 95 % interval decide"
        return f"no z, {prediction.reason}; {reached}, p ≤ {prediction.rank_p:.2g}; {decides}"
    return f"z {display_z(prediction.z):+.2f}σ, needs {criteria.z:g}"


def _shortcomings(checks: _EffectChecks, criteria: EffectCriteria, group: str) -> str:
    reasons = []
    if checks.too_wide:
        reasons.append(
            f"{group} differ so much from each other that no effect could reach {criteria.z:g}σ "
            "(measure more prompts, or more tokens of each)"
        )
    elif not checks.beyond_null:
        reasons.append(
            f"not clearly more than {group} (increase the option runs of null_adapter, or the option "
            "positions)"
        )
    if not checks.big and criteria.has_floor:
        reasons.append(f"perhaps too small (below the floor {criteria.floor:g})")
    if checks.interval is None:
        reasons.append("one item is not enough to decide (add items)")
    elif checks.interval.low <= 0:
        reasons.append(
            f"uncertain, because the 95 % interval starts at {checks.interval.low:.3g} (add items)"
        )
    return "; ".join(reasons)


def cap_score(score: float, verdict: Verdict) -> float:
    """A warning keeps at most 0.5, a failure 0.49."""
    return min(score, _CAP.get(verdict, 1.0))


def score_every_item(judgement: Judgement, samples: Sequence[float], floor: float) -> Judgement:
    """The judgement with the mean of the items' own scores where that is lower than the score of their mean.

    What was not learned weighs: of six sections of which three were learned very well and three not at all,
    the mean lift is far above the floor, and half of what was asked is missing.

    Args:
        judgement: its score is of the mean.
        samples: the effect on each item.
        floor: of the effect; 0 or less: any effect.
    """
    if judgement.score is None or not samples:
        return judgement
    least = max(0.0, floor)
    each = fmean(x / (x + least) if x > 0 else 0.0 for x in samples)
    return replace(judgement, score=min(judgement.score, each))


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Of verdicts that rest on a number, the worst."""
    return max(verdicts, key=[Verdict.PASS, Verdict.WARN, Verdict.FAIL].index)


def lower_verdict(judgement: Judgement, verdict: Verdict, words: str) -> Judgement:
    """The judgement under a further condition: never better than ``verdict``, whose reason leads."""
    worse = worst_verdict([judgement.verdict, verdict])
    score = cap_score(judgement.score, worse) if judgement.score is not None else None
    return replace(judgement, verdict=worse, message=f"{words}; {judgement.message}", score=score)

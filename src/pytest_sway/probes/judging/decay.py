"""How fast a divergence decays along a text: what the shape probes over turns and over tokens share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from pytest_sway.probes.base import Judgement, NullSample
from pytest_sway.probes.judging.effect import SHAPE_SCORE
from pytest_sway.probes.judging.shape_signal import Signal, no_signal, signal
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import Interval, t_interval

MIN_CURVES = 4
"""Fewer curves than this decide nothing."""
_STABLE_FACTOR = 10


@dataclass(frozen=True)
class DecayCriteria:
    """What a decay is judged by.

    Attributes:
        half_life: the shortest that is sound, in ``unit``; 0 or less: any.
        span: how far the curves reach, in ``unit``; a half-life is reported up to 10 times that.
        unit: of the axis: turns, tokens.
        end: the last point of the axis, in words.
        curves: what there is one curve of, in the plural.
        floor: smallest divergence whose shape can be judged, in nats.
        z: smallest z of the first divergence against its null.
    """

    half_life: float
    span: float
    unit: str
    end: str
    curves: str
    floor: float
    z: float

    @property
    def cap(self) -> float:
        """A half-life beyond this is none: nothing decays over the span."""
        return _STABLE_FACTOR * self.span

    def life(self, slope: float) -> float:
        """Half-life ln 2 / -slope, at most the cap."""
        return min(math.log(2) / -slope, self.cap) if slope < 0 else self.cap

    def fit_status(self, slopes: Sequence[float]) -> str:
        """The word of schema 1: degenerate, non_monotonic (it surely grows), stable or ok (it decays)."""
        if not slopes:
            return "degenerate"
        interval = t_interval(slopes)
        if interval is not None and interval.low > math.log(2) / self.cap:
            return "non_monotonic"
        return "stable" if self.life(fmean(slopes)) >= self.cap else "ok"


def log_slopes(axes: Sequence[Sequence[float]], curves: Sequence[Sequence[float]]) -> list[float]:
    """Least-squares slope of log d on its axis, per curve; a curve with a zero, or one point, has none.

    Args:
        axes: where each curve's points lie; as long as the curve, increasing.
        curves: the divergences, ≥ 0.
    """
    usable = [(x, d) for x, d in zip(axes, curves, strict=True) if len(d) > 1 and min(d) > 0]
    if not usable:
        return []
    x = np.asarray([x for x, _ in usable], dtype=np.float64)
    y = np.log(np.asarray([d for _, d in usable], dtype=np.float64))
    x -= x.mean(axis=1, keepdims=True)
    return [float(slope) for slope in (x * y).sum(axis=1) / (x * x).sum(axis=1)]


def judge_decay(
    measured: Measurement, nulls: NullSample | None, criteria: DecayCriteria, *, detail: str, undecided: str
) -> Judgement:
    """Is the influence that is there at the beginning there at the end?

    Skip: no signal at the beginning. Pass: the t interval of the slopes lies above -ln 2 / the half-life.
    Fail: at the end d is within its null *there* (below the floor, where there is no null). Warn: it decays,
    or that it does not is not sure. Without a half-life, what is not gone at the end passes.

    Args:
        measured: its samples are the slopes, its statistics ``signal`` and ``last`` the mean divergence at
            the beginning and at the end.
        nulls: the null population, with the same two statistics.
        criteria: what to clear.
        detail: what every message ends with; may be empty.
        undecided: what it takes to decide, where these inputs cannot; else empty.
    """
    found = signal(measured, nulls, "signal", criteria.floor, criteria.z)
    if not found.present:
        return no_signal(found)
    last = signal(measured, nulls, "last", criteria.floor, criteria.z)
    verdict, words = _verdict(measured, last, criteria, undecided)
    interval = t_interval(measured.samples)
    if interval is not None:
        interval = Interval(criteria.life(interval.low), criteria.life(interval.high))
    return Judgement(
        verdict,
        f"{words} {detail}".rstrip(),
        SHAPE_SCORE[verdict],
        interval,
        found.prediction,
        null_criteria=(*found.null_criteria, *last.null_criteria),
    )


def _verdict(
    measured: Measurement, last: Signal, criteria: DecayCriteria, undecided: str
) -> tuple[Verdict, str]:
    slopes = measured.samples
    interval = t_interval(slopes)
    if undecided:
        return Verdict.WARN, f"undecided: at least {undecided} are needed"
    if last.within_null:
        beside = ", not clearly more than that of random adapters" if last.prediction is not None else ""
        return Verdict.FAIL, f"the effect is gone at {criteria.end}: {last.text}{beside}"
    if criteria.half_life <= 0:
        return Verdict.PASS, f"the effect is still there at {criteria.end}: {last.text}"
    if interval is None or len(slopes) < MIN_CURVES:
        few = f"only {len(slopes)} {criteria.curves} show an effect at every point"
        return Verdict.WARN, f"undecided: {few}, but at least {MIN_CURVES} are needed"
    if interval.low > -math.log(2) / criteria.half_life:
        return Verdict.PASS, f"the effect lasts: {_pace_text(slopes, criteria)}"
    return Verdict.WARN, f"{_doubt_text(slopes, interval, criteria)}{_remainder_text(last, criteria)}"


def _pace_text(slopes: Sequence[float], criteria: DecayCriteria) -> str:
    life = criteria.life(fmean(slopes))
    if life >= criteria.cap:
        return f"no decay over {criteria.span:g} {criteria.unit}"
    return f"half-life {_format_life(life)} {criteria.unit} (at least {criteria.half_life:g} required)"


def _doubt_text(slopes: Sequence[float], interval: Interval, criteria: DecayCriteria) -> str:
    """Why it does not pass: it decays too fast, or that it does not is not sure."""
    pace = _pace_text(slopes, criteria)
    if criteria.life(fmean(slopes)) < criteria.half_life:
        return f"the effect fades too fast: {pace}"
    bound = f"the 95 % interval of the half-life starts at {_format_life(criteria.life(interval.low))}"
    return f"undecided, the effect may fade too fast: {pace}, but {bound}; add {criteria.curves}"


def _remainder_text(last: Signal, criteria: DecayCriteria) -> str:
    ratio = last.prediction.ratio if last.prediction is not None else None
    if ratio is None:
        return ""
    return f"; at {criteria.end} the effect is {ratio:.1f} times that of random adapters"


def _format_life(life: float) -> str:
    return f"{life:.1f}" if life < 100 else f"{life:.0f}"

"""adapter_ablation: does the response to the adapter's strength λ have a sound adapter's shape?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from pytest_sway.probes.base import Judgement, NullSample, Probe
from pytest_sway.probes.judging.effect import SHAPE_SCORE
from pytest_sway.probes.judging.shape_signal import SIGNAL_Z, no_signal, signal
from pytest_sway.probes.judging.thresholds import Finite, Floor, LeastZ, Off, is_off
from pytest_sway.probes.shared.item_options import Positions, PromptOptions
from pytest_sway.probes.shared.questions import (
    distinct,
    divergence_sides,
    greedy_continuations,
    opening,
    openings_policy,
)
from pytest_sway.requests import Divergence, Views, ask
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import Interval, jackknife_interval, t_interval

SOUND_EXPONENT = 1.25
"""Below this the response is not the small-signal law's (p = 2) any more."""
_SATURATED = 0.9


class AdapterAblationOptions(PromptOptions):
    """Options of ``adapter_ablation``; the three bands of schema 1 are judged only where a spec sets them."""

    profiles: ClassVar = {"quick": {"lambdas": [0.0, 0.25, 0.5, 0.75, 1.0], "positions": 4}}

    lambdas: list[float] = Field(default=[0.0, 0.25, 0.5, 0.75, 1.0, 1.25], min_length=3)
    divergence: Literal["js", "kl"] = "js"
    top_k: int | None = None
    positions: Positions = 8
    min_signal: Floor = 0.02
    assert_linearity_gte: Annotated[Finite | None, Off(at_most=0)] = None
    assert_saturation_between: tuple[Finite, Finite] | None = None
    assert_overshoot_gte: Annotated[Finite | None, Off(at_most=0)] = None
    assert_z_gte: LeastZ = SIGNAL_Z
    """Of the signal at full strength; no shape has a z of its own."""

    @field_validator("lambdas")
    @classmethod
    def _sorted_lambdas(cls, values: list[float]) -> list[float]:
        """Sorted, each once: the curve has no other order."""
        if any(not math.isfinite(v) or v < 0 for v in values):
            raise ValueError("every λ must be a finite number ≥ 0")
        if sum(0 < v <= 1 for v in set(values)) < 2:
            raise ValueError(
                "at least two different λ must lie in (0, 1], because the exponent is fitted over this range"
            )
        return sorted(set(values))


class AdapterAblation(Probe[AdapterAblationOptions]):
    """Divergence from the base as a function of the adapter's scale: d(λ) ∝ λᵖ.

    raw = p, the slope of log mean d on log λ over (0, 1] (least squares). p = 2 is the small-signal law
    of JS and KL; a saturated or broken update lies far below. Shape: passes when p's interval (jackknife
    over prompts) lies above 1.25 and the curve rises up to λ = 1; fails when it falls below λ = 1 by more
    than its interval, or p's interval lies below 1.25 and 90 % of d(1) is reached at λ ≤ 0.5.
    Without a signal at λ = 1 it is skipped. Of the mean curve are reported, as schema 1 names them, linearity
    (R² of the least-squares straight line through all λ), saturation (the smallest λ with 90 % of the largest
    d) and overshoot (d at the largest λ ÷ d(1)).
    """

    kind, category, claim = "adapter_ablation", "ablation", Claim.SHAPE
    requires = frozenset({"divergence", "generate", "scale"})
    scale = "inverse_root"

    async def measure(self, views: Views) -> Measurement:
        """The whole curve, on every prompt; the keys of schema 1 describe its mean."""
        grid = sorted({*self.options.lambdas, 1.0})
        curves = await self._curves(views, [v for v in grid if v > 0])
        if 0.0 in grid:
            curves = [[0.0, *curve] for curve in curves]
        kept = [grid.index(value) for value in self.options.lambdas]
        mean = [fmean(column) for column in zip(*curves, strict=True)]
        full = mean[grid.index(1.0)]
        saturation, reason = _saturation(grid, mean)
        return Measurement(
            raw=_exponent(grid, curves, range(len(curves))),
            samples=tuple(curve[grid.index(1.0)] for curve in curves),
            items=tuple(distinct(self.options.prompts)),
            statistics={"signal": full},
            series={"grid": [grid], "curves": curves},
            evidence={
                "lambdas": self.options.lambdas,
                "mean_divergence_per_lambda": [mean[i] for i in kept],
                "divergence_kind": self.options.divergence,
                "linearity": _linearity(self.options.lambdas, [mean[i] for i in kept]),
                "saturation_lambda": saturation,
                "saturation_reason": reason,
                "overshoot": mean[-1] / full if full > 0 else 1.0,
                "num_prompts": len(curves),
                "positions": self.options.positions,
                "prompt_policy": openings_policy(self.options.prompts, self.context),
            },
        )

    async def measure_null(self, views: Views) -> Measurement:
        """Full strength alone: a null's shape is compared with nothing."""
        samples = [curve[0] for curve in await self._curves(views, [1.0])]
        return Measurement(raw=None, samples=tuple(samples), statistics={"signal": fmean(samples)})

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The shape rule."""
        found = signal(measured, nulls, "signal", self.options.min_signal, self.options.assert_z_gte)
        if not found.present:
            return no_signal(found)
        (grid,), curves = measured.series["grid"], measured.series["curves"]
        interval = jackknife_interval(len(curves), lambda kept: _exponent(grid, curves, kept))
        bands = _bands(self.options, measured)
        verdict, message = _shape_verdict(grid, curves, interval, bands)
        bounds = "" if interval is None else f" (95 % interval [{interval.low:.2f}, {interval.high:.2f}])"
        return Judgement(
            verdict,
            f"{message}; effect ∝ strength^{measured.raw or 0:.2f}{bounds}; at full strength the effect is "
            f"{found.text}",
            SHAPE_SCORE[verdict],
            interval=interval,
            prediction=found.prediction,
            evidence={f"passed_{name}": passed for name, passed in bands.items()},
            null_criteria=found.null_criteria,
        )

    async def _curves(self, views: Views, lambdas: Sequence[float]) -> list[list[float]]:
        """Divergence from the base per prompt and λ."""
        options = self.options
        prompts = [opening(prompt, self.context) for prompt in distinct(options.prompts)]
        followed = await greedy_continuations(prompts, views.base, options.positions)
        compared = [
            divergence_sides(options.divergence, views.base, views.tuned.scaled(value)) for value in lambdas
        ]
        flat = await ask(
            [
                Divergence(prompt, p, q, options.divergence, ids)
                for prompt, ids in zip(prompts, followed, strict=True)
                for p, q in compared
            ]
        )
        width = len(lambdas)
        return [flat[i : i + width] for i in range(0, len(flat), width)]


def _exponent(grid: Sequence[float], curves: Sequence[Sequence[float]], kept: Iterable[int]) -> float | None:
    """Slope of log mean divergence on log λ over (0, 1]; None where a mean is not positive."""
    rows = [curves[i] for i in kept]
    fitted = [i for i, value in enumerate(grid) if 0 < value <= 1]
    means = [fmean(row[i] for row in rows) for i in fitted]
    if min(means) <= 0:
        return None
    slope, _ = np.polyfit(np.log([grid[i] for i in fitted]), np.log(means), 1)
    return float(slope)


def _shape_verdict(
    grid: Sequence[float],
    curves: Sequence[Sequence[float]],
    interval: Interval | None,
    bands: dict[str, bool],
) -> tuple[Verdict, str]:
    mean = [fmean(column) for column in zip(*curves, strict=True)]
    falls = _first_fall(grid, curves)
    half = max((m for v, m in zip(grid, mean, strict=True) if v <= 0.5), default=0.0)
    early = half >= _SATURATED * mean[grid.index(1.0)]
    missed = [name for name, passed in bands.items() if not passed]
    if falls:
        rise = f"from {falls[0]:g} to {falls[1]:g}"
        return Verdict.FAIL, f"unsound: the effect decreases when the adapter strength rises {rise}"
    if interval is None:
        return Verdict.WARN, "undecided: at least three prompts are needed"
    if interval.high < SOUND_EXPONENT and early:
        return Verdict.FAIL, "saturated: the adapter reaches 90 % of its effect at half strength or less"
    if missed:
        return Verdict.FAIL, f"values outside the limits that the spec sets: {', '.join(missed)}"
    up_to_one = [m for v, m in zip(grid, mean, strict=True) if v <= 1]
    rises = all(a <= b for a, b in pairwise(up_to_one))
    if interval.low > SOUND_EXPONENT and rises:
        return Verdict.PASS, f"sound: the effect grows up to full strength (exponent above {SOUND_EXPONENT})"
    if not rises:
        return Verdict.WARN, "doubtful: the effect does not grow at every step up to full strength"
    return Verdict.WARN, f"undecided: the exponent may be {SOUND_EXPONENT} or less (add prompts to decide)"


def _first_fall(grid: Sequence[float], curves: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """The first step up to λ = 1 on which the curve falls by more than its interval over prompts."""
    for i, (low, high) in enumerate(pairwise(grid)):
        step = t_interval([curve[i + 1] - curve[i] for curve in curves])
        if high <= 1 and step is not None and step.high < 0:
            return low, high
    return None


def _bands(options: AdapterAblationOptions, measured: Measurement) -> dict[str, bool]:
    """The three bands of schema 1, where the spec sets them."""
    bands = {}
    evidence = measured.evidence
    if options.assert_linearity_gte is not None and not is_off(options, "assert_linearity_gte"):
        bands["linearity"] = evidence["linearity"] >= options.assert_linearity_gte
    if options.assert_saturation_between is not None:
        low, high = options.assert_saturation_between
        at = evidence["saturation_lambda"]
        bands["saturation"] = at is not None and low <= at <= high
    if options.assert_overshoot_gte is not None and not is_off(options, "assert_overshoot_gte"):
        bands["overshoot"] = evidence["overshoot"] >= options.assert_overshoot_gte
    return bands


def _linearity(lambdas: Sequence[float], mean: Sequence[float]) -> float:
    """R² of the least-squares straight line; 0 for a flat curve, which follows nothing."""
    values = np.asarray(mean)
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    slope, offset = np.polyfit(lambdas, values, 1)
    residual = float(((values - slope * np.asarray(lambdas) - offset) ** 2).sum())
    return 1.0 - residual / total


def _saturation(grid: Sequence[float], mean: Sequence[float]) -> tuple[float | None, str]:
    """Smallest λ with 90 % of the largest divergence, and schema 1's word for the curve."""
    if max(mean) <= 0:
        return None, "flat_curve"
    at = next((v for v, m in zip(grid, mean, strict=True) if m >= _SATURATED * max(mean)), None)
    falls = any(b < a for a, b in pairwise(mean))
    return at, "non_monotonic" if falls else "found"

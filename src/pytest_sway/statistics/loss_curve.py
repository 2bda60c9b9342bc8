"""The shape of a run's training loss: whether it fell, stayed low and was smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from pytest_sway.statistics.curves import (
    MAD_TO_SD,
    SURE,
    Curve,
    bursts,
    ends,
    level_before,
    movement,
    rolling_median,
)

_MATERIAL = 0.1
"""A rise by less than this share of the level does not count, however smooth the curve."""
_NEGLIGIBLE = 0.01
"""Nor is one by less than this share of the loss at the start."""
_DIVERGED = 0.02
"""An end that lies above the start by less than this share has not diverged."""
_OVERFIT = 0.05
"""A validation loss above its best by less than this share has not risen."""
_CHANCE = 0.05
_FEWEST_FOR_NOISE = 8
"""Fewer validation losses give no estimate of their noise."""


@dataclass(frozen=True)
class LossCurve:
    """The shape of one run's losses.

    Attributes:
        initial, final: medians of the first losses (as many as the window, a tenth at most) and of the last
            tenth, of five at least, finite ones alone, in nats; None for fewer than two.
        diverged: ``final`` lies above ``initial`` by more than 3 standard errors and more than 2 %.
        smoothness: in [0, 1]; the share of the smoothed curve's movement that goes down.
        spikes: indices of losses where a spike begins.
        non_finite: how many losses were no finite number.
    """

    initial: float | None
    final: float | None
    diverged: bool
    smoothness: float
    spikes: tuple[int, ...]
    non_finite: int

    @property
    def events(self) -> int:
        """Spikes and losses that were no finite number."""
        return len(self.spikes) + self.non_finite

    @property
    def convergence_ratio(self) -> float | None:
        """``final`` ÷ ``initial``; None where the initial loss is not positive."""
        if self.initial is None or self.final is None or self.initial <= 0:
            return None
        return self.final / self.initial


def loss_curve(losses: Sequence[float], window: int, sigma: float) -> LossCurve:
    """The shape of one run's losses.

    Spikes are rises above the level of the ``window`` losses before, found on the losses' square roots: the
    noise of a loss grows with it, though less than in proportion, and leans upwards. A rise below 10 % of
    that level, or below 1 % of the initial loss, is none; a reversal of the smoothed curve below 10 % of it
    is none either. The noise is that of the steps around, a falling loss's fall included: in a run of fewer
    than about 100 steps that falls fast at first, a later rise must be larger to be seen.

    Args:
        losses: in order of steps; NaN where one was not finite.
        window: of the rolling median.
        sigma: the least rise that counts as a spike, in robust standard deviations.
    """
    every = np.asarray(losses, dtype=float)
    where = np.flatnonzero(np.isfinite(every))
    values, non_finite = every[where], len(every) - len(where)
    if len(values) < 2:
        return LossCurve(None, None, diverged=False, smoothness=0.0, spikes=(), non_finite=non_finite)
    level = ends(values, window)
    rise = level.last - level.first
    least = _MATERIAL * np.abs(rolling_median(values, window))
    return LossCurve(
        initial=level.first,
        final=level.last,
        diverged=rise > max(SURE * level.error, _DIVERGED * abs(level.first)),
        smoothness=movement(values, window, least).smoothness,
        spikes=tuple(int(where[start]) for start in _spikes(values, window, sigma, abs(level.first))),
        non_finite=non_finite,
    )


def _spikes(values: Curve, window: int, sigma: float, initial: float) -> list[int]:
    """Where bursts begin that are large enough to matter."""
    before = level_before(values, window)
    material = values - before > np.maximum(_MATERIAL * np.abs(before), _NEGLIGIBLE * initial)
    found = bursts(np.sqrt(values) if values.min() >= 0 else values, window, sigma)
    return [burst.start for burst in found if material[burst].any()]


@dataclass(frozen=True)
class ValidationTrend:
    """Validation losses: the best and the last, in nats, and whether they rose again."""

    best: float
    last: float
    rises: bool


def validation_trend(losses: Sequence[float]) -> ValidationTrend | None:
    """Whether the validation loss ends above its best by more than its noise; None for fewer than three.

    By more than 5 %, and, from eight losses on, by more than √2·t·σ: σ is the median absolute third
    difference × 1.4826 / √20 (a parabola has none), t of Student's distribution at 0.05 over the
    number of losses, since the best is the lowest of them, with half as many degrees of freedom as there
    are third differences, which overlap.
    """
    values = np.asarray(losses, dtype=float)
    if len(values) < 3:
        return None
    best, last = float(values.min()), float(values[-1])
    noise = 0.0
    if len(values) >= _FEWEST_FOR_NOISE:
        sigma = MAD_TO_SD * float(np.median(np.abs(np.diff(values, 3)))) / math.sqrt(20)
        noise = math.sqrt(2) * float(stdtrit((len(values) - 3) / 2, 1 - _CHANCE / len(values))) * sigma
    return ValidationTrend(best, last, rises=last - best > max(noise, _OVERFIT * abs(best)))

"""Features of a noisy curve beyond its noise: the scale of the noise, bursts, movements, the two ends.

No function assumes normal noise: a burst is judged against Student's t with 4 degrees of freedom, whose
tails are as heavy as those of a loss over small batches. Scales are median absolute deviations × 1.4826
(for normal noise that is its standard deviation; Rousseeuw & Croux 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

Curve = npt.NDArray[np.float64]

MAD_TO_SD = 1.4826
MEDIAN_TO_MEAN = 1.2533
"""A median's standard error ÷ a mean's, √(π/2)."""
SURE = 3.0
"""σ beyond which a single comparison is significant."""
_CHANCE = 0.05
"""How often noise alone may give a burst, or a movement, in one curve."""
_TAIL_DF = 4
_TAIL_SCALE = MAD_TO_SD * float(stdtrit(_TAIL_DF, 0.75))
"""The scale, as :func:`noise` measures it, of Student's t with 4 degrees of freedom."""
_SUSTAINED = 3
"""From this many steps in a row on a burst is sustained."""
_FEWEST = 5
"""Fewer values than this give no level."""
_NEAR = 101
"""A step's noise is that of this many steps around it, since noise shrinks with the loss."""


def rolling_median(values: Curve, window: int) -> Curve:
    """The median of the ``window`` values around each (made odd); of fewer at the ends."""
    half = min(window // 2, len(values) - 1)
    return _window_medians(np.pad(values, half, constant_values=np.nan), 2 * half + 1)


def level_before(values: Curve, window: int) -> Curve:
    """The median of the ``window`` values before each; NaN where there are fewer than five."""
    window = max(window, _FEWEST)
    levels = _window_medians(np.concatenate([np.full(window, np.nan), values[:-1]]), window)
    levels[:_FEWEST] = np.nan
    return levels


def noise(values: Curve, window: int) -> Curve:
    """The scale of the noise at each value, in its unit: MAD × 1.4826 of the residuals around it.

    A residual is a value minus the median of the ``window`` before it; "around" is the nearest 101 of
    them, or all where there are fewer. Few residuals estimate their scale badly, so it is raised by
    t(Φ(3)) / 3 with one degree of freedom less than there are. 0 for fewer than seven values.
    """
    residuals = (values - level_before(values, window))[_FEWEST:]
    reach = min(_NEAR, len(residuals))
    if reach < 2:
        return np.zeros(len(values))
    around = np.lib.stride_tricks.sliding_window_view(residuals, reach)
    deviations = np.abs(around - np.median(around, axis=1, keepdims=True))
    scales = MAD_TO_SD * np.median(deviations, axis=1) * float(stdtrit(reach - 1, ndtr(SURE))) / SURE
    nearest = np.arange(len(values)) - _FEWEST - reach // 2
    return np.asarray(scales[np.clip(nearest, 0, len(scales) - 1)])


def bursts(values: Curve, window: int, sigma: float) -> list[slice]:
    """Where values stand above the level before them by more than chance gives, in order.

    A single value must exceed what Student's t (4 df) noise gives once in ``len(values)`` values with
    probability 0.05 / 3; each of two in a row what it gives pairs of, each of three or more likewise; and
    never less than ``sigma``. In units of :func:`noise`.

    Args:
        values: finite.
        window: how many values make the level.
        sigma: the least rise that counts, in units of the noise.
    """
    rise = np.nan_to_num(values - level_before(values, window), nan=-np.inf)
    scale = noise(values, window)
    in_burst = np.zeros(len(values), dtype=bool)
    for length in range(1, _SUSTAINED + 1):
        chance = (_CHANCE / (_SUSTAINED * len(values))) ** (1 / length)
        needed = max(sigma, float(stdtrit(_TAIL_DF, 1 - chance)) / _TAIL_SCALE)
        for run in stretches(rise > needed * scale):
            in_burst[run] |= run.stop - run.start >= length
    return stretches(in_burst)


@dataclass(frozen=True)
class Movement:
    """How far a curve goes up and down, in its own unit, counting no reversal within its noise."""

    up: float
    down: float

    @property
    def smoothness(self) -> float:
        """1 - up / (up + down): 1 for a curve that only falls or does not move, 0 for one that only rises."""
        total = self.up + self.down
        return 1.0 - self.up / total if total else 1.0


def movement(values: Curve, window: int, least: Curve) -> Movement:
    """The movements of the curve's rolling median between reversals that chance does not give.

    A reversal counts from 2·z·σ·1.2533/√window on: the difference of two medians of that many values, z of
    the normal distribution at 0.05 (two-sided) over all separate windows, len(values) / window of them
    (medians of ten are near normal), σ of :func:`noise`.

    Args:
        values: finite.
        window: of the rolling median.
        least: the smallest reversal that matters, per value.
    """
    window = min(window, len(values))
    z = float(ndtri(1 - _CHANCE / 2 * min(0.5, window / len(values))))
    reversal = 2 * z * noise(values, window) * MEDIAN_TO_MEAN / math.sqrt(window)
    return _rises_and_falls(rolling_median(values, window), np.maximum(reversal, least))


@dataclass(frozen=True)
class Ends:
    """A curve's level at its start and its end: medians, and the standard error of their difference."""

    first: float
    last: float
    error: float


def ends(values: Curve, window: int, share: float = 0.1) -> Ends:
    """The levels of the first and the last values: ``share`` of all, at least five, never more than half.

    A loss falls fastest at the start, so that level is of ``window`` values at most.
    """
    last = max(1, min(max(_FEWEST, math.ceil(share * len(values))), len(values) // 2))
    first = min(last, max(_FEWEST, window))
    scale = noise(values, window)
    error = MEDIAN_TO_MEAN * math.hypot(scale[0] / math.sqrt(first), scale[-1] / math.sqrt(last))
    return Ends(float(np.median(values[:first])), float(np.median(values[-last:])), error)


def _window_medians(padded: Curve, window: int) -> Curve:
    """NaN where a window holds no value; NaN is padding alone."""
    views = np.lib.stride_tricks.sliding_window_view(padded, window)
    filled = ~np.isnan(views).all(axis=1)
    medians = np.full(len(views), np.nan)
    medians[filled] = np.nanmedian(views[filled], axis=1)
    return medians


def stretches(flags: npt.NDArray[np.bool_]) -> list[slice]:
    """Every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _rises_and_falls(curve: Curve, reversal: Curve) -> Movement:
    """Sums of the rises and of the falls between turning points that are ``reversal`` apart."""
    up = down = 0.0
    direction, pivot, low, high = 0, float(curve[0]), float(curve[0]), float(curve[0])
    for value, turn in zip(curve.tolist(), reversal.tolist(), strict=True):
        low, high = min(low, value), max(high, value)
        if direction >= 0 and high - value > turn:
            up += high - pivot if direction else 0.0
            direction, pivot, low = -1, high, value
        elif direction <= 0 and value - low > turn:
            down += pivot - low if direction else 0.0
            direction, pivot, high = 1, low, value
    return Movement(up + (high - pivot) * (direction > 0), down + (pivot - low) * (direction < 0))

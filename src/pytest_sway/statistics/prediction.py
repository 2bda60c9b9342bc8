"""How far an adapter's statistic lies outside its null sample, as one more draw from the same population.

A prediction, not a division: with n draws of a statistic T on its declared scale,
t = s·(T - mean) / (sd·√(1 + 1/n)), sd with n - 1, p from Student's t with n - 1 degrees of freedom
(the prediction interval of a normal sample; Hahn & Meeker 1991, ch. 4). The reported z is
Φ⁻¹(1 - p). Dividing by the sd of three draws and calling 3 of them "3σ" is wrong 8 % of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtri_exp, stdtr

Scale = Literal["raw", "log", "inverse_root"]
Better = Literal["higher", "lower"]
Z_CLIP = 10.0
"""A z is shown at most this far out: beyond, the t tail is pure extrapolation."""
_ALIKE = 1e-9
"""Draws that differ by less than this share of their mean are one number and its rounding."""
LEAST_P = 1e-300
"""Where a tail probability ends: a z of 37."""
_NO_SPREAD = "the random adapters all gave the same number"


@dataclass(frozen=True)
class Prediction:
    """Where a statistic stands against n null draws.

    Attributes:
        n: usable draws.
        mean, sd: of the draws, on the statistic's own scale (nats, say).
        rank: how many draws lie at or beyond the statistic, in the better direction.
        draws: the draws themselves.
        ratio: statistic ÷ mean of the draws; None where the mean is 0.
        z: Φ⁻¹(1 - p), finite; None where ``reason`` says why. Show it through :func:`display_z`.
        p: one-sided; None with z.
        limit: the z of an infinite statistic, where the scale is bounded: no effect can reach more.
        reason: why there is no z, in words for the report.
    """

    n: int
    mean: float
    sd: float
    rank: int
    ratio: float | None
    draws: tuple[float, ...] = ()
    z: float | None = None
    p: float | None = None
    limit: float | None = None
    reason: str = ""

    @property
    def rank_p(self) -> float:
        """The smallest p that the draws alone support: (k + 1) / (n + 1)."""
        return (self.rank + 1) / (self.n + 1)


def predict(
    value: float,
    draws: Sequence[float],
    scale: Scale,
    better: Better = "higher",
    resolution: float = 0.0,
) -> Prediction:
    """Compare ``value`` with the null draws.

    Args:
        value: the adapter's statistic.
        draws: the nulls' statistics; at least one.
        scale: where the draws are near normal: ``raw``, ``log`` or ``inverse_root`` (-1/√T). The last
            two are for positive statistics. Divergences have longer tails than log-normal numbers: of
            4 × 1,000 random adapters log calls 0.15-0.54 % 3σ (n = 20), -1/√T 0.06-0.30 %
            (``benchmarks/calibration``). Its price is a bound: where 20 draws have a standard
            deviation of 0.6 times their mean, no statistic lies beyond about 3.1σ.
        better: direction in which the statistic exceeds its null.
        resolution: smallest difference that the arithmetic can show; below it a number is 0, and a null
            whose spread is below it gives no z.
    """
    sign = 1.0 if better == "higher" else -1.0
    null = np.asarray(draws, dtype=np.float64)
    mean = float(null.mean())
    plain = Prediction(
        n=len(draws),
        mean=mean,
        sd=float(null.std(ddof=1)) if len(draws) > 1 else 0.0,
        rank=int(np.sum(sign * null >= sign * value)),
        ratio=value / mean if mean else None,
        draws=tuple(map(float, draws)),
    )
    reason = _no_z(plain, value, null, scale, resolution)
    if reason:
        return replace(plain, reason=reason)
    x = _transform(null, scale)
    y = float(_transform(np.array([value]), scale)[0])
    n = len(x)
    spread = float(x.std(ddof=1)) * math.sqrt(1 + 1 / n)
    if spread == 0.0:
        return replace(plain, reason=_NO_SPREAD)
    t = sign * (y - float(x.mean())) / spread
    limit = z_of_t(-float(x.mean()) / spread, n - 1) if scale == "inverse_root" and sign > 0 else None
    return replace(plain, z=z_of_t(t, n - 1), p=max(float(stdtr(n - 1, -t)), LEAST_P), limit=limit)


def z_of_t(t: float, df: int) -> float:
    """Φ⁻¹(1 - p) for a one-sided Student-t p, through the log of the smaller tail."""
    log_tail = math.log(max(float(stdtr(df, -abs(t))), LEAST_P))
    return math.copysign(-float(ndtri_exp(log_tail)), t)


def display_z(z: float) -> float:
    """A z as it is reported: cut at ±10."""
    return max(-Z_CLIP, min(Z_CLIP, z))


def _no_z(plain: Prediction, value: float, null: np.ndarray, scale: Scale, resolution: float) -> str:
    """Why no z can be given, or the empty string."""
    if plain.n < 2:
        return "fewer than two random adapters gave a value"
    if plain.sd <= _ALIKE * abs(plain.mean):
        return _NO_SPREAD
    if plain.sd <= resolution:
        return "the random adapters differ by less than the rounding error"
    if scale != "raw" and value <= resolution:
        return "no effect: the value is smaller than the rounding error"
    if scale != "raw" and float(null.min()) <= resolution:
        return "the values of some random adapters are smaller than the rounding error"
    return ""


def _transform(values: np.ndarray, scale: Scale) -> np.ndarray:
    if scale == "log":
        return np.asarray(np.log(values))
    if scale == "inverse_root":
        return np.asarray(-1.0 / np.sqrt(values))
    return values

"""Estimates with their standard errors: the ratio of two sums, and the interval of a sum of estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.statistics.intervals import Interval, t_quantile


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error and that error's degrees of freedom.

    ``error`` is None where too few samples give none.
    """

    value: float
    error: float | None
    df: int


def ratio_of_sums(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Sum of the numerators over the sum of the denominators, over paired samples.

    Each sample weighs as much as its denominator. With residuals eᵢ = xᵢ - r·yᵢ the standard error is
    √(n/(n-1) · Σ eᵢ²) / Σ yᵢ, with n - 1 degrees of freedom (the ratio estimator; Cochran 1977, ch. 6).
    A sum of denominators that is not positive gives the value 0 without an error.

    Coverage of its t interval at 95 % (5,000 samples of 3, 5, 8, 20 sentences with 8 to 39 tokens): lifts
    that are normal 0.94, 0.94, 0.94, 0.95; gamma of skewness 1 0.92, 0.92, 0.92, 0.94.

    Raises:
        ValueError: where the two differ in length.
    """
    n, total = len(denominators), math.fsum(denominators)
    if total <= 0.0:
        return Estimate(0.0, None, max(n - 1, 0))
    value = math.fsum(numerators) / total
    residuals = [(x - value * y) ** 2 for x, y in zip(numerators, denominators, strict=True)]
    error = math.sqrt(n / (n - 1) * math.fsum(residuals)) / total if n > 1 else None
    return Estimate(value, error, n - 1)


def interval_of_sum(parts: Sequence[Estimate], level: float = 0.95) -> Interval | None:
    """Student's t interval of the sum of independent estimates.

    The degrees of freedom are Satterthwaite's (1946): (Σ seᵢ²)² / Σ (seᵢ⁴ / dfᵢ), rounded down. None where
    an estimate has no error.
    """
    value = math.fsum(part.value for part in parts)
    variances = [(part.error**2, part.df) for part in parts if part.error is not None]
    if len(variances) < len(parts) or not parts:
        return None
    variance = math.fsum(v for v, _ in variances)
    if variance == 0.0:
        return Interval(value, value)
    shares = math.fsum((v / variance) ** 2 / df for v, df in variances)
    half = t_quantile(max(1, int(1 / shares + 1e-9)), level) * math.sqrt(variance)
    return Interval(value - half, value + half)

"""Null draws as they are needed: whether further ones could still change what a z decides.

Stochastic curtailment (Lan, Simon & Halperin 1982): sampling stops where what all of the draws would say is
known already with a probability of ``CONFIDENCE``. The probability is predictive: the first n draws leave the
mean and the variance of the null unknown, so the rest of them follow Student's t and F (the prior that is
flat in mean and log variance), and the adapter's own number stays what it is. Where a z ≥ c after all N draws
comes to α of noise, the curtailed rule comes to at most α ÷ ``CONFIDENCE``, under the shape of null that z
assumes; ``benchmarks/calibration`` measures it on real ones (part ``sequential``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtr, chdtri, ndtr, ndtri, stdtrit

from pytest_sway.statistics.prediction import LEAST_P, Prediction

CONFIDENCE = 0.99
"""How sure it must be that all draws would decide as the first ones do."""
_NODES = 96


@dataclass(frozen=True)
class NullCriterion:
    """One thing that the null draws decide.

    Attributes:
        prediction: against the draws so far.
        least_z: the z that is asked for; 0 or less: none is.
        margins: distances, in the statistic's unit, from bounds that the draws' mean is taken off before: one
            whose sign could still change is open.
        two_sided: whether z ≤ -``least_z`` decides as well.
    """

    prediction: Prediction
    least_z: float
    margins: tuple[float, ...] = ()
    two_sided: bool = False

    def is_settled(self, total: int) -> bool:
        """Whether ``total`` draws would decide the same, as far as ``CONFIDENCE`` says.

        Without a z the rank decides: an adapter that a draw has reached stays reached.
        """
        found = self.prediction
        if found.n >= total:
            return True
        if any(abs(margin) <= self._shift(total) for margin in self.margins):
            return False
        if self.least_z <= 0:
            return True
        if found.z is None:
            return found.rank > 0
        sides = (found.z, -found.z) if self.two_sided else (found.z,)
        chances = [chance_of_reaching(z, found.n, self.least_z, total) for z in sides]
        return all(not 1 - CONFIDENCE < chance < CONFIDENCE for chance in chances)

    def _shift(self, total: int) -> float:
        """How far the mean of all draws may lie from that of the first ones."""
        found = self.prediction
        if found.n < 2:
            return math.inf
        quantile = float(stdtrit(found.n - 1, (1 + CONFIDENCE) / 2))
        return quantile * found.sd * math.sqrt(1 / found.n - 1 / total)


def chance_of_reaching(z: float, n: int, least_z: float, total: int) -> float:
    """Probability that a z of ``least_z`` or more is seen after ``total`` draws, where n of them gave ``z``.

    Args:
        z: Φ⁻¹(1 - p) after n draws, p from Student's t with n - 1 degrees of freedom.
        n: draws so far, ≥ 2.
        least_z: what is asked for, > 0.
        total: draws in the end, > n.
    """
    more = total - n
    t = _t_of_z(z, n - 1)
    value = t * math.sqrt(1 + 1 / n)  # where the first draws have mean 0 and standard deviation 1
    least = _t_of_z(least_z, total - 1) * math.sqrt(1 + 1 / total)
    nodes = (np.arange(_NODES) + 0.5) / _NODES
    sigma = np.sqrt((n - 1) / chdtri(n - 1, nodes))[:, None]
    mean_of_rest = sigma * ndtri(nodes)[None, :] * math.sqrt(1 / n + 1 / more)
    above = value - more / total * mean_of_rest
    between = n * more / total * mean_of_rest**2
    # z ≥ least_z where the sum of squares around the mean of all draws is at most this
    most = (total - 1) * (above / least) ** 2 - (n - 1) - between
    within = chdtr(more - 1, np.maximum(most, 0.0) / sigma**2) if more > 1 else (most >= 0).astype(float)
    return float(np.where(above > 0, within, 0.0).mean())


def _t_of_z(z: float, df: int) -> float:
    """Student's t with the tail probability of a z, by the smaller tail: the other is 1 from z 8.3 on."""
    return math.copysign(float(stdtrit(df, max(float(ndtr(-abs(z))), LEAST_P))), z)

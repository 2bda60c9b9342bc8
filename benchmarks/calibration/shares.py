"""How often noise is called an effect: p-values of a pool's members against each other, and their shares.

Every null of a pool is judged against random n-subsets of the others, on each scale, by the product's
formula (vectorised; :func:`disagreement` compares it with ``predict``) and in the established way
(z = (x - mean) / population sd of three draws).

The interval of a share is a delete-a-group jackknife over the pool (20 groups, Student's t with 19 degrees
of freedom; Kott 2001). The judgements are not independent, since subsets share members with each other and
with the judged: 200,000 of them hold no more than 1,000 draws of luck, and a binomial interval would be
several times too narrow. A replicate therefore leaves out a twentieth of the *pool*: every judgement in
which one of its members was judged or was a judge. What is left is the same experiment on a pool of 95 %.
Which subsets are left is chance as well, so the interval is a little too wide rather than too narrow:
over 120 simulated pools of 1,000 (normal on the raw scale, log-normal with σ = 0.3 on it) it covered in
0.93 to 0.99 of the cases, at n = 8 and 20 and at all three levels. Where no trial hits, the upper end is
three over the pool (the rule of three).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from pytest_sway.statistics.prediction import Scale, predict

SCALES: tuple[Scale, ...] = ("raw", "log", "inverse_root")
LEVELS = (0.05, 0.01, 0.00135)
OLD_BARS = (1.645, 2.326, 3.0)
"""What the established way compares its z with, for the same nominal shares."""
OLD_RUNS = 3
GROUPS = 20
_SMALLEST_SD = 1e-6
"""The established way's own floor."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Trials:
    """Judgements to make: who is judged, against whom.

    Attributes:
        judged: index in the pool, one per trial.
        nulls: indices of the n draws that judge, ``[trials, n]``; the judged is never among them.
        groups: bit g of a trial is set where a member of jackknife group g takes part in it.
    """

    judged: Array
    nulls: Array
    groups: Array


@dataclass(frozen=True)
class Share:
    """A share of trials, with its 95 % interval."""

    value: float
    low: float
    high: float


def trials(pool: int, n: int, per_null: int, seed: int = 0) -> Trials:
    """``per_null`` random n-subsets of the others for each member of a pool, without repetition in one."""
    if n >= pool:
        raise ValueError(f"{n} draws cannot judge a member of a pool of {pool}")
    generator = np.random.default_rng(seed)
    judged = np.repeat(np.arange(pool, dtype=np.int32), per_null)
    nulls = np.empty((pool * per_null, n), dtype=np.int32)
    for i in range(pool):
        order = generator.random((per_null, pool - 1), dtype=np.float32)
        chosen = np.argpartition(order, n - 1, axis=1)[:, :n]
        nulls[i * per_null : (i + 1) * per_null] = chosen + (chosen >= i)
    bits = np.left_shift(1, np.arange(pool) % GROUPS)
    groups = np.bitwise_or.reduce(bits[nulls], axis=1) | bits[judged]
    return Trials(judged, nulls, groups)


def p_values(values: Sequence[float], tried: Trials, scale: Scale) -> Array:
    """The product's one-sided p of each trial."""
    x = _scaled(np.asarray(values, dtype=np.float64), scale)
    draws = x[tried.nulls]
    n = draws.shape[1]
    spread = draws.std(axis=1, ddof=1) * math.sqrt(1 + 1 / n)
    return np.asarray(stdtr(n - 1, -(x[tried.judged] - draws.mean(axis=1)) / spread))


def old_z(values: Sequence[float], tried: Trials) -> Array:
    """The established z of each trial: distance from the mean in population standard deviations."""
    x = np.asarray(values, dtype=np.float64)
    draws = x[tried.nulls]
    return np.asarray((x[tried.judged] - draws.mean(axis=1)) / np.maximum(draws.std(axis=1), _SMALLEST_SD))


def share(hits: Array, tried: Trials) -> Share:
    """The share of trials that hit, with the interval of the module's docstring."""
    value = float(hits.mean())
    left = [hits[(tried.groups >> g) & 1 == 0] for g in range(GROUPS)]
    parts = np.array([part.mean() for part in left if len(part)])
    count = len(parts)
    if count < 2:
        return Share(value, 0.0, 1.0)
    error = math.sqrt((count - 1) / count * float(((parts - parts.mean()) ** 2).sum()))
    half = float(stdtrit(count - 1, 0.975)) * error
    if not parts.any():
        half = 3 / (int(tried.judged.max()) + 1)
    return Share(value, max(0.0, value - half), min(1.0, value + half))


def false_positives(values: Sequence[float], tried: Trials, scale: Scale) -> list[Share]:
    """The share of noise at each level of :data:`LEVELS`."""
    p = p_values(values, tried, scale)
    return [share(p <= level, tried) for level in LEVELS]


def old_false_positives(values: Sequence[float], tried: Trials) -> list[Share]:
    """The same in the established way."""
    z = old_z(values, tried)
    return [share(z >= bar, tried) for bar in OLD_BARS]


def disagreement(values: Sequence[float], tried: Trials, scale: Scale, checked: int = 200) -> float:
    """Largest relative difference between these p-values and the product's own, over a sample of trials."""
    p = p_values(values, tried, scale)
    worst = 0.0
    for i in np.linspace(0, len(p) - 1, min(checked, len(p))).astype(int):
        draws = [values[j] for j in tried.nulls[i]]
        own = predict(values[tried.judged[i]], draws, scale).p
        if own is None:
            raise ValueError(f"predict() gives no p for trial {i}")
        worst = max(worst, abs(float(p[i]) - own) / own)
    return worst


def correlations(columns: Sequence[Sequence[float]]) -> Array:
    """Spearman's rank correlations between statistics measured on the same null adapters."""
    ranks = np.array([np.argsort(np.argsort(column)) for column in columns], dtype=np.float64)
    return np.asarray(np.corrcoef(ranks))


def _scaled(values: Array, scale: Scale) -> Array:
    if scale == "log":
        return np.asarray(np.log(values))
    if scale == "inverse_root":
        return np.asarray(-1.0 / np.sqrt(values))
    return values

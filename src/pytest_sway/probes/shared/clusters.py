"""Prompts in clusters: how they are found, and how far a number depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SEED = 0
_PERMUTATIONS = 200
_ROUNDING = 1e-9


class VarianceParts(NamedTuple):
    """Variance of a number over clustered items: of the clusters' means, and within a cluster."""

    between: float
    within: float

    @property
    def specificity(self) -> float | None:
        """Between / (between + within), in [0, 1]; None for a constant."""
        total = self.between + self.within
        return self.between / total if total > 0 else None


def clusters(vectors: np.ndarray, count: int) -> np.ndarray:
    """k-means labels of unit vectors ``[n, width]``, the same on every run (Lloyd 1982; 10 starts).

    Labels count from 0 without a gap; there are fewer than ``count`` where fewer vectors differ.
    """
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(vectors, axis=0)))
    found = KMeans(n_clusters=count, n_init=10, random_state=_SEED).fit_predict(vectors)
    return np.unique(found, return_inverse=True)[1]


def variance_parts(values: np.ndarray, labels: np.ndarray) -> VarianceParts:
    """The two variances of schema 1.

    Between: population variance of the cluster means, every cluster weighing the same. Within: mean of the
    population variances of the clusters with more than one item.

    Args:
        values: ``[n]``.
        labels: ``[n]``, the cluster of each.
    """
    if np.ptp(values) <= _ROUNDING * np.max(np.abs(values)):
        return VarianceParts(0.0, 0.0)
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.bincount(index, values) / sizes
    variances = np.bincount(index, (values - means[index]) ** 2) / sizes
    several = variances[sizes > 1]
    return VarianceParts(float(means.var()), float(several.mean()) if len(several) else 0.0)


def chance_specificity(values: np.ndarray, labels: np.ndarray) -> dict[str, float] | None:
    """Specificity under 200 shuffles of the labels: mean and 95th percentile; None for a constant.

    What this number of items and clusters gives by itself. It is no test: similar prompts answer alike
    under any weights.
    """
    generator = np.random.default_rng(_SEED)
    shuffled = [
        variance_parts(values, generator.permutation(labels)).specificity for _ in range(_PERMUTATIONS)
    ]
    found = [value for value in shuffled if value is not None]
    if not found:
        return None
    return {"mean": float(np.mean(found)), "p95": float(np.quantile(found, 0.95))}


def exemplars(vectors: np.ndarray, labels: np.ndarray, texts: Sequence[str]) -> list[list[str]]:
    """Per cluster the two texts nearest to its centre, at most 120 characters of each."""
    nearest = []
    for cluster in range(int(labels.max()) + 1):
        (members,) = np.nonzero(labels == cluster)
        apart = np.linalg.norm(vectors[members] - vectors[members].mean(axis=0), axis=1)
        nearest.append([texts[i][:120] for i in members[np.argsort(apart, kind="stable")[:2]]])
    return nearest

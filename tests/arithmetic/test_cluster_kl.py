"""cluster_kl: how much of log(d ÷ the null adapters' mean d) lies between clusters of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, Embedder, PlainModel, mean_divergence
from tests.arithmetic.spec import CLUSTERED

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def cluster_of(embedder: Embedder) -> np.ndarray:
    vectors = embedder.encode(CLUSTERED)
    return KMeans(3, n_init=30, random_state=0).fit_predict(vectors)


@pytest.fixture(scope="module")
def divergences(plain: PlainModel, null_adapters: list[Path]) -> dict[str, np.ndarray]:
    """d by prompt, over four positions, of the adapter and of each null adapter."""
    asked = [(plain.raw(prompt), plain.greedy(BASE, plain.raw(prompt), 3)) for prompt in CLUSTERED]
    return {
        view: np.array([mean_divergence(plain, *one, view=view) for one in asked])
        for view in (TUNED, *(null.name for null in null_adapters))
    }


def parts(values: np.ndarray, cluster_of: np.ndarray) -> tuple[float, float]:
    """Variance of the clusters' means, and mean of the variances of the clusters with several prompts."""
    clusters = [values[cluster_of == label] for label in np.unique(cluster_of)]
    within = [cluster.var() for cluster in clusters if len(cluster) > 1]
    return float(np.var([cluster.mean() for cluster in clusters])), float(np.mean(within))


def specificity(d: np.ndarray, of_nulls: list[np.ndarray], cluster_of: np.ndarray) -> float:
    """Of log(d ÷ the null adapters' mean d)."""
    between, within = parts(np.log(d / np.mean(of_nulls, axis=0)), cluster_of)
    return between / (between + within)


def test_specificity(
    reported: dict[str, Any], cluster_of: np.ndarray, divergences: dict[str, np.ndarray]
) -> None:
    tuned, *of_nulls = divergences.values()
    found = reported["cluster_kl"]
    assert [one["value"] for one in found["samples"]] == equals(tuned.tolist())
    assert found["raw"] == equals(specificity(tuned, of_nulls, cluster_of))


def test_specificity_of_nulls(
    reported: dict[str, Any], cluster_of: np.ndarray, divergences: dict[str, np.ndarray]
) -> None:
    """Each null adapter against the mean of the others; z on arcsin √s."""
    tuned, *of_nulls = divergences.values()
    draws = [
        specificity(one, [*of_nulls[:at], *of_nulls[at + 1 :]], cluster_of) for at, one in enumerate(of_nulls)
    ]
    found = reported["cluster_kl"]["evidence"]
    assert found["specificity_of_nulls"] == equals(draws)
    value, angles = np.arcsin(np.sqrt(specificity(tuned, of_nulls, cluster_of))), np.arcsin(np.sqrt(draws))
    n = len(angles)
    t = (value - angles.mean()) / (angles.std(ddof=1) * np.sqrt(1 + 1 / n))
    assert found["specificity_z"] == equals(stats.norm.isf(stats.t.sf(t, n - 1)))


def test_signal(reported: dict[str, Any], cluster_of: np.ndarray, divergences: dict[str, np.ndarray]) -> None:
    """What the reported z is of: the mean d of the strongest cluster, the null adapters' beside it."""
    strongest = [
        max(d[cluster_of == label].mean() for label in set(cluster_of)) for d in divergences.values()
    ]
    found = reported["cluster_kl"]["null"]
    assert found["draws"] == equals(strongest[1:])
    assert found["ratio"] == equals(strongest[0] / np.mean(strongest[1:]))


def test_ratio_of_a_cluster(
    reported: dict[str, Any], cluster_of: np.ndarray, divergences: dict[str, np.ndarray]
) -> None:
    """The geometric mean of d ÷ the null adapters' mean d, with its t interval."""
    tuned, *of_nulls = divergences.values()
    y = np.log(tuned / np.mean(of_nulls, axis=0))
    clusters = sorted(set(cluster_of), key=lambda label: y[cluster_of == label].mean())
    found = reported["cluster_kl"]["evidence"]
    assert sorted(found["per_cluster_ratio"]) == equals([np.exp(y[cluster_of == c].mean()) for c in clusters])
    intervals = [np.exp(t_interval(y[cluster_of == c])).tolist() for c in clusters]
    reported_intervals = [
        found["per_cluster_ratio_ci_95"][at] for at in np.argsort(found["per_cluster_ratio"])
    ]
    assert np.ravel(reported_intervals).tolist() == equals(np.ravel(intervals).tolist())

"""Clusters of prompts, and how far a number depends on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.probes.shared.clusters import chance_specificity, clusters, exemplars, variance_parts

POINTS = np.array([[1, 0], [0.99, 0.1], [0.98, 0.2], [0, 1], [0.1, 0.99], [-1, 0]])


def test_clusters_are_those_of_the_points_and_the_same_again() -> None:
    labels = clusters(POINTS, 3)
    assert len(set(labels[:3])) == len(set(labels[3:5])) == 1
    assert len(set(labels)) == 3
    assert (clusters(POINTS, 3) == labels).all()


def test_fewer_points_than_clusters() -> None:
    assert clusters(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]), 4).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    assert clusters(np.ones((5, 2)), 3).tolist() == [0] * 5


def test_both_variances_by_hand() -> None:
    # means 2, 6, 10: variance 32/3; variances 1 and 4, the cluster of one has none
    found = variance_parts(np.array([1.0, 3, 4, 8, 10]), np.array([0, 0, 1, 1, 2]))
    assert found == pytest.approx((32 / 3, 2.5))
    assert found.specificity == pytest.approx((32 / 3) / (32 / 3 + 2.5))


def test_a_constant_has_no_specificity() -> None:
    assert variance_parts(np.ones(4), np.array([0, 0, 1, 1])).specificity is None
    assert chance_specificity(np.ones(4), np.array([0, 0, 1, 1])) is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3)), min_size=2, max_size=20), st.floats(0.1, 9))
def test_specificity_is_a_share_and_knows_no_unit(rows: list[tuple[float, int]], unit: float) -> None:
    values, labels = (np.array(column) for column in zip(*rows, strict=True))
    found = variance_parts(values, labels).specificity
    if found is None or values.std() < 1e-6:
        return
    assert 0 <= found <= 1
    assert variance_parts(unit * values + 3, labels).specificity == pytest.approx(found, abs=1e-6)


def test_chance_falls_with_the_number_of_items() -> None:
    """For m values in each of k clusters the means vary as 1/m of the values: the share is near 1/m."""
    source = np.random.default_rng(5)
    for m in (4, 25):
        found = chance_specificity(source.normal(size=4 * m), np.repeat(np.arange(4), m))
        assert found is not None
        assert found["mean"] == pytest.approx(1 / m, rel=0.35)
        assert found["p95"] > found["mean"]


def test_exemplars_are_the_texts_nearest_to_their_centre() -> None:
    vectors = np.array([[0.0], [1], [2], [10], [11]])
    labels = np.array([0, 0, 0, 1, 1])
    assert exemplars(vectors, labels, ["far", "middle", "rim", "x" * 200, "y"]) == [
        ["middle", "far"],
        ["x" * 120, "y"],
    ]

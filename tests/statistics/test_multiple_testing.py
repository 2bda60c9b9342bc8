"""Adjusted p-values: their definitions, scipy, and the family's error by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.multiple_testing import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)
tied = st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0]), min_size=1, max_size=8)


def holm_rejects(values: list[float], alpha: float) -> set[int]:
    """The procedure as Holm wrote it: down from the smallest, until one misses its share of alpha."""
    rejected: set[int] = set()
    left = dict(enumerate(values))
    while left:
        smallest = min(left, key=lambda i: left[i])
        if left[smallest] * len(left) > alpha:
            break
        rejected.add(smallest)
        del left[smallest]
    return rejected


@given(p_values | tied, st.floats(0, 0.999))
def test_holm_rejects_what_the_step_down_procedure_does(values: list[float], alpha: float) -> None:
    assert {i for i, p in enumerate(holm(values)) if p <= alpha} == holm_rejects(values, alpha)


@given(p_values | tied)
def test_benjamini_hochberg_is_scipys(values: list[float]) -> None:
    expected = stats.false_discovery_control(values, method="bh")
    np.testing.assert_allclose(benjamini_hochberg(values), expected, rtol=1e-12)


@given(p_values | tied)
def test_between_the_raw_values_and_one(values: list[float]) -> None:
    family, discoveries = holm(values), benjamini_hochberg(values)
    for raw, false_discovery, family_wise in zip(values, discoveries, family, strict=True):
        assert raw <= false_discovery * (1 + 1e-12)
        assert false_discovery <= family_wise * (1 + 1e-12)
        assert family_wise <= 1.0


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(p_values | tied)
def test_a_smaller_p_stays_no_larger(adjust: object, values: list[float]) -> None:
    pairs = sorted(zip(values, adjust(values), strict=True))  # type: ignore[operator]
    adjusted = [after for _, after in pairs]
    assert adjusted == sorted(adjusted)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(st.data())
def test_the_order_of_probes_does_not_matter(adjust: object, data: st.DataObject) -> None:
    values = data.draw(p_values | tied)
    order = data.draw(st.permutations(range(len(values))))
    turned = adjust([values[i] for i in order])  # type: ignore[operator]
    assert turned == [adjust(values)[i] for i in order]  # type: ignore[operator]


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_edges(adjust: object) -> None:
    assert adjust([]) == []  # type: ignore[operator]
    assert adjust([0.03]) == [0.03]  # type: ignore[operator]
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="is no p-value"):
            adjust([0.5, wrong])  # type: ignore[operator]


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_holm_keeps_the_familys_error_with_shared_null_draws(shared: float) -> None:
    """4,000 inert adapters, 6 probes against the same 20 null adapters: one false "real" in 5 % at most."""
    rng = np.random.default_rng(5)
    common = rng.normal(size=(4000, 1, 21)) * np.sqrt(shared)
    samples = common + rng.normal(size=(4000, 6, 21)) * np.sqrt(1 - shared)
    value, null = samples[..., 0], samples[..., 1:]
    t = (value - null.mean(-1)) / (null.std(-1, ddof=1) * np.sqrt(1 + 1 / 20))
    p = stats.t.sf(t, 19)
    wrong = np.mean([min(holm(list(row))) <= 0.05 for row in p])
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
    assert np.mean(p.min(axis=1) <= 0.05) > 0.08  # what no correction would give

"""Intervals: their coverage is what their docstrings say, and small samples are told apart."""

from __future__ import annotations

from random import Random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.intervals import (
    Interval,
    cluster_means,
    clustered_interval,
    jackknife_blocks,
    jackknife_interval,
    positive_interval,
    rate_interval,
    t_interval,
)

samples = st.lists(st.floats(-100, 100), min_size=2, max_size=20)
divergences = st.lists(st.just(0.0) | st.floats(1e-9, 1e3), min_size=8, max_size=20).filter(any)
SIGNED = {
    "normal": lambda rng, size: rng.normal(size=size),
    "laplace": lambda rng, size: rng.laplace(size=size),
    "t5": lambda rng, size: rng.standard_t(5, size),
    "gamma": lambda rng, size: rng.gamma(4, 1, size) - 4,
    "exponential": lambda rng, size: rng.exponential(1, size) - 1,
}


@given(samples)
def test_t_interval_is_scipys(values: list[float]) -> None:
    found = t_interval(values)
    assert found is not None
    error = stats.sem(values)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), error) if error else (0, 0)
    if error:
        assert (found.low, found.high) == pytest.approx((low, high))
    else:
        assert found.low == found.high == pytest.approx(np.mean(values))


@pytest.mark.parametrize("interval", [t_interval, positive_interval])
def test_one_item_has_no_interval(interval: object) -> None:
    assert interval([0.3]) is None  # type: ignore[operator]


@given(st.lists(st.floats(1e-6, 10), min_size=2, max_size=7))
def test_few_skewed_items_are_called_approximate(values: list[float]) -> None:
    found = positive_interval(values)
    assert found is not None
    assert found.approximate
    assert 0 < found.low <= np.mean(values) * (1 + 1e-9)
    assert found.high >= np.mean(values) * (1 - 1e-9)


@given(divergences)
def test_the_mean_is_inside_and_the_upper_end_in_reach(values: list[float]) -> None:
    """However alike all items but one are: the plain studentised bootstrap of the log overflows there."""
    with np.errstate(all="raise"):
        found = positive_interval(values)
    mean = float(np.mean(values))
    assert found is not None
    assert 0 <= found.low <= mean * (1 + 1e-9)
    assert mean * (1 - 1e-9) <= found.high <= 6.4 * mean


def test_one_item_carries_the_mean() -> None:
    found = positive_interval([0.0100, 0.0102, 0.0098, 0.0103, 0.01, 0.0101, 0.0099, 5.0])
    rare = positive_interval([0.0] * 9 + [0.1])
    assert found is not None
    assert rare is not None
    share = stats.beta.ppf(0.975, 2, [7, 9])  # exact upper ends of the rate of such items: 1 of 8, 1 of 10
    assert found.high > 5.0 * share[0]
    assert rare.high > 0.1 * share[1]


@given(divergences, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(values: list[float], unit: float) -> None:
    found, other = positive_interval(values), positive_interval([unit * v for v in values])
    assert found is not None
    assert other is not None
    assert (other.low, other.high) == pytest.approx((unit * found.low, unit * found.high), rel=1e-6)


def test_zero_divergences_have_a_zero_interval() -> None:
    found = positive_interval([0.0] * 5)
    assert found is not None
    assert (found.low, found.high) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("shape", "n", "claimed"),
    [
        *[("normal", n, 0.95) for n in (4, 12, 50)],
        *[("laplace", 4, 0.97), ("laplace", 12, 0.96), ("laplace", 50, 0.95)],
        *[("t5", 4, 0.96), ("t5", 12, 0.96), ("t5", 50, 0.95)],
        *[("gamma", 4, 0.94), ("gamma", 12, 0.94), ("gamma", 50, 0.95)],
        *[("exponential", 4, 0.88), ("exponential", 12, 0.91), ("exponential", 50, 0.93)],
    ],
)
def test_coverage_of_signed_samples(shape: str, n: int, claimed: float) -> None:
    samples = SIGNED[shape](np.random.default_rng(7), (2000, n))
    held = [i is not None and i.low <= 0 <= i.high for i in map(t_interval, samples)]
    assert_share(held, claimed)


@pytest.mark.parametrize(
    ("n", "log_sd", "claimed"),
    [
        *[(4, 0.5, 0.94), (8, 0.5, 0.94), (20, 0.5, 0.94), (50, 0.5, 0.94)],
        *[(4, 1.0, 0.90), (8, 1.0, 0.90), (20, 1.0, 0.92), (50, 1.0, 0.93)],
        *[(4, 1.5, 0.83), (8, 1.5, 0.84), (20, 1.5, 0.87)],
    ],
)
def test_coverage_of_skewed_samples(n: int, log_sd: float, claimed: float) -> None:
    samples = np.random.default_rng(11).lognormal(0.0, log_sd, size=(1000, n))
    true_value = np.exp(log_sd**2 / 2)
    assert_share(
        [i is not None and i.low <= true_value <= i.high for i in map(positive_interval, samples)], claimed
    )


@pytest.mark.parametrize(("groups", "shared"), [(4, 0.1), (4, 0.8), (8, 0.4), (20, 0.1), (20, 0.8)])
def test_coverage_of_clustered_samples(groups: int, shared: float) -> None:
    samples = [clustered(np.random.default_rng([groups, i]), groups, shared) for i in range(1000)]
    held = [i is not None and i.low <= 0 <= i.high for i in (clustered_interval(*d) for d in samples)]
    assert_share(held, 0.95)
    ignored = [i is not None and i.low <= 0 <= i.high for i in (t_interval(values) for values, _ in samples)]
    assert_share(ignored, {0.1: 0.90, 0.4: 0.75, 0.8: 0.60}[shared])


def clustered(rng: np.random.Generator, groups: int, shared: float) -> tuple[list[float], list[int]]:
    """Normal items of mean 0, 1 to 8 in a cluster, with this correlation inside one."""
    labels = np.repeat(np.arange(groups), rng.integers(1, 9, groups))
    own = rng.normal(0, np.sqrt(1 - shared), len(labels))
    return (own + rng.normal(0, np.sqrt(shared), groups)[labels]).tolist(), labels.tolist()


def assert_share(held: list[bool], claimed: float) -> None:
    """The share is the claimed one, which is rounded to a hundredth, within three sampling errors."""
    assert abs(np.mean(held) - claimed) <= 3 * np.sqrt(claimed * (1 - claimed) / len(held)) + 0.005


@given(samples, st.randoms())
def test_clusters_of_one_and_of_copies_are_the_t_interval(values: list[float], random: Random) -> None:
    expected = t_interval(values)
    items = [(v, f"case {i}") for i, v in enumerate(values) for _ in range(1 + i % 3)]
    random.shuffle(items)
    found = clustered_interval([v for v, _ in items], [c for _, c in items])
    assert expected is not None
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_cluster_has_no_interval_and_items_need_one() -> None:
    assert clustered_interval([0.1, 0.2, 0.3], ["a", "a", "a"]) is None
    assert clustered_interval([], []) is None
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words
        clustered_interval([0.1, 0.2, 0.3], ["a", "b"])


def test_cluster_means_stand_in_the_order_of_their_first_items() -> None:
    found = cluster_means([1.0, 5.0, 3.0, 6.0], ["b", "a", "b", "a"])
    assert list(found.items()) == [("b", 2.0), ("a", 5.5)]


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rate_interval_is_scipys(count: tuple[int, int]) -> None:
    found = rate_interval(*count)
    expected = stats.binomtest(*count).proportion_ci(0.95, "exact")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "lowest", "mean"),
    [(5, 0.975, 0.990), (10, 0.961, 0.984), (20, 0.958, 0.977), (50, 0.953, 0.969)],
)
def test_coverage_of_rates(n: int, lowest: float, mean: float) -> None:
    """Exactly, from the probabilities of all counts: never below 95 %, and the docstring's figures."""
    rates = np.arange(1, 1000) / 1000
    found = [rate_interval(hits, n) for hits in range(n + 1)]
    held = np.array([[i is not None and i.low <= p <= i.high for i in found] for p in rates])
    coverage = (stats.binom.pmf(np.arange(n + 1), n, rates[:, None]) * held).sum(axis=1)
    assert coverage.min() >= 0.95
    assert (coverage.min(), coverage.mean()) == pytest.approx((lowest, mean), abs=6e-4)


def test_one_item_has_no_rate_interval() -> None:
    assert rate_interval(1, 1) is None
    assert rate_interval(0, 0) is None
    with pytest.raises(ValueError, match="is not a valid rate"):
        rate_interval(3, 2)


def test_jackknife_of_a_mean_is_the_t_interval() -> None:
    values = [0.3, 0.9, 0.4, 1.2, 0.5]
    found = jackknife_interval(5, lambda kept: float(np.mean([values[i] for i in kept])))
    expected = t_interval(values)
    assert found is not None
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [4, 6, 12])
def test_jackknife_coverage_of_a_curves_exponent(n: int) -> None:
    """Curves d = a·λᵖ, with p and a of their own per prompt; the slope of the mean curve is covered."""
    rng = np.random.default_rng(n)
    grid = np.array([0.25, 0.5, 0.75, 1.0])

    def slope(curves: np.ndarray) -> float:
        return float(np.polyfit(np.log(grid), np.log(curves.mean(0)), 1)[0])

    def draw(size: int) -> np.ndarray:
        scale, power = rng.lognormal(0, 0.7, (size, 1)), rng.normal(1.9, 0.25, (size, 1))
        return np.asarray(scale * grid**power)

    true_value = slope(draw(400_000))
    held = 0
    for _ in range(600):
        curves = draw(n)
        found = jackknife_interval(n, lambda kept, c=curves: slope(c[list(kept)]))
        held += found is not None and found.low <= true_value <= found.high
    assert abs(held / 600 - 0.925) <= 3 * np.sqrt(0.925 * 0.075 / 600)


def test_jackknife_needs_three_items_and_a_defined_estimate() -> None:
    assert jackknife_interval(2, lambda _: 1.0) is None
    assert jackknife_interval(5, lambda kept: None if len(list(kept)) < 5 else 1.0) is None


@pytest.mark.parametrize(("n", "claimed"), [(4, 0.77), (6, 0.83), (12, 0.88)])
def test_why_not_the_percentile_bootstrap(n: int, claimed: float) -> None:
    """dlm-sway's coverage in the jackknife's docstring, on the same kind of curves."""
    rng = np.random.default_rng(100 + n)
    x = np.log([0.25, 0.5, 0.75, 1.0])

    def draw(size: int) -> np.ndarray:
        scale, power = rng.lognormal(0, 0.7, (size, 1)), rng.normal(1.9, 0.25, (size, 1))
        return np.asarray(scale * np.exp(x * power))

    def slopes(means: np.ndarray) -> np.ndarray:
        centred = x - x.mean()
        return np.asarray(np.log(means) @ centred / (centred @ centred))

    true_value = slopes(draw(400_000).mean(0))
    held = 0
    for _ in range(600):
        resampled = draw(n)[rng.integers(0, n, (1000, n))].mean(1)
        low, high = np.quantile(slopes(resampled), [0.025, 0.975])
        held += low <= true_value <= high
    assert abs(held / 600 - claimed) <= 3 * np.sqrt(claimed * (1 - claimed) / 600)


@pytest.mark.parametrize("items", [1, 3, 40, 41, 1000])
def test_blocks_hold_every_item_once_in_nearly_equal_shares(items: int) -> None:
    blocks = jackknife_blocks(items)
    assert len(blocks) == min(items, 40)
    assert sorted(i for block in blocks for i in block) == list(range(items))
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1


def test_leaving_out_blocks_or_items_gives_similar_intervals() -> None:
    """Of a mean, where the jackknife's is Student's t interval: the width is a chi with 39 df, ± 11 %."""
    values = np.random.default_rng(2).normal(size=400)
    blocks = jackknife_blocks(400)
    found = jackknife_interval(40, lambda kept: float(np.mean([values[i] for b in kept for i in blocks[b]])))
    whole = t_interval(values.tolist())
    assert found is not None
    assert whole is not None
    assert (found.low + found.high) / 2 == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.3)


@pytest.mark.parametrize("level", [0.5, 0.99])
def test_every_interval_has_the_level_that_was_asked_for(level: float) -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    expected = t_interval(values, level)
    assert clustered_interval(values, "abcd", level) == expected
    found = jackknife_interval(4, lambda kept: fmean(values[i] for i in kept), level)
    assert found is not None
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_three_items_have_a_jackknife_interval_unless_the_whole_has_no_estimate() -> None:
    assert jackknife_interval(3, lambda kept: float(sum(kept))) is not None
    assert jackknife_interval(3, lambda kept: None if len(list(kept)) == 3 else 1.0) is None


@pytest.mark.parametrize("approximate", [True, False])
def test_a_shifted_interval_is_as_approximate_as_before(approximate: bool) -> None:
    assert Interval(1.0, 2.0, approximate).shifted(0.5) == Interval(1.5, 2.5, approximate)

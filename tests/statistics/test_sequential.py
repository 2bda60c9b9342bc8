"""Draws as they are needed: the chance of another verdict, against simulation, and what it settles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.prediction import predict
from pytest_sway.statistics.sequential import CONFIDENCE, NullCriterion, chance_of_reaching

DESIGNS = [(8, 20, 3.0), (5, 8, 2.0), (8, 9, 3.0), (8, 32, 3.0)]


def simulated(z: float, n: int, least_z: float, total: int, count: int = 40_000) -> float:
    """Mean and variance sampled from their posterior, the rest of the draws from the null that they make."""
    rng = np.random.default_rng(7)
    value = stats.t.isf(stats.norm.sf(z), n - 1) * math.sqrt(1 + 1 / n)
    first = np.linspace(-1, 1, n)
    first = (first - first.mean()) / first.std(ddof=1)
    sigma = np.sqrt((n - 1) / rng.chisquare(n - 1, count))
    mean = sigma * rng.standard_normal(count) / math.sqrt(n)
    rest = mean[:, None] + sigma[:, None] * rng.standard_normal((count, total - n))
    draws = np.hstack([np.tile(first, (count, 1)), rest])
    t = (value - draws.mean(axis=1)) / (draws.std(axis=1, ddof=1) * math.sqrt(1 + 1 / total))
    return float(np.mean(stats.t.sf(t, total - 1) <= stats.norm.sf(least_z)))


@pytest.mark.parametrize(("n", "total", "least_z"), DESIGNS)
@pytest.mark.parametrize("z", [1.5, 2.5, 3.0, 3.5])
def test_the_chance_is_that_of_a_simulation(n: int, total: int, least_z: float, z: float) -> None:
    found = chance_of_reaching(z, n, least_z, total)
    error = 4 * math.sqrt(0.25 / 40_000)
    assert found == pytest.approx(simulated(z, n, least_z, total), abs=error)


@given(st.sampled_from(DESIGNS), st.floats(-3, 8), st.floats(0.01, 3))
def test_a_larger_z_is_a_larger_chance(design: tuple[int, int, float], z: float, more: float) -> None:
    n, total, least_z = design
    one, other = (chance_of_reaching(value, n, least_z, total) for value in (z, z + more))
    assert 0 <= one <= other <= 1


@pytest.mark.slow
def test_most_of_noise_is_settled_and_the_rest_decides_as_all_draws_do() -> None:
    """Few settled verdicts differ from those of all draws; an effect at the bar is open, and rightly so."""
    rng = np.random.default_rng(3)
    for effect, most_open, fewest_changed in ((0.0, 0.06, 0.02), (4.0, 0.9, 0.3), (12.0, 0.05, 0.0)):
        differ = still_open = changed = 0
        for _ in range(1500):
            draws, value = rng.standard_normal(20), effect + rng.standard_normal()
            first, every = predict(value, draws[:8].tolist(), "raw"), predict(value, draws.tolist(), "raw")
            assert first.z is not None
            assert every.z is not None
            settled = NullCriterion(first, 3.0, two_sided=True).is_settled(20)
            is_other = (first.z >= 3) != (every.z >= 3)
            still_open += not settled
            changed += is_other and not settled
            differ += is_other and settled
        assert differ / 1500 <= 2 * (1 - CONFIDENCE)
        assert still_open / 1500 <= most_open
        assert changed >= fewest_changed * still_open


def criterion(value: float, draws: list[float], least_z: float = 3.0, **more: object) -> NullCriterion:
    return NullCriterion(predict(value, draws, "raw"), least_z, **more)  # type: ignore[arg-type]


NULLS = [0.1, -0.2, 0.05, 0.3, -0.1, 0.0, 0.15, -0.25]


def test_all_draws_settle_everything() -> None:
    assert criterion(0.6, NULLS).is_settled(8)
    assert not criterion(0.6, NULLS).is_settled(20)


def test_without_a_z_wanted_nothing_is_open() -> None:
    assert criterion(0.6, NULLS, least_z=0).is_settled(20)


def test_the_wrong_way_is_as_open_as_the_right_one() -> None:
    assert criterion(-0.7, NULLS).is_settled(20)
    assert not criterion(-0.7, NULLS, two_sided=True).is_settled(20)


@pytest.mark.parametrize(("margin", "settled"), [(0.5, True), (-0.5, True), (0.01, False)])
def test_a_margin_that_the_mean_could_still_cross_is_open(margin: float, settled: bool) -> None:
    assert criterion(9.0, NULLS, margins=(margin,)).is_settled(20) is settled


def test_without_a_z_the_rank_decides() -> None:
    alike = [0.1] * 8
    assert not criterion(0.2, alike).is_settled(20)
    assert criterion(0.05, alike).is_settled(20)


@pytest.mark.parametrize(("draws", "total"), [([0.0, 1.0], 20), ([0.0, 1.0, 4.0], 8), (list(range(8)), 20)])
def test_a_margin_is_open_within_the_interval_of_the_mean_of_all(draws: list[float], total: int) -> None:
    """Student's t with n - 1 degrees of freedom, times sd·√(1/n - 1/total)."""
    n, found = len(draws), predict(100.0, draws, "raw")
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    shift = quantile * np.std(draws, ddof=1) * math.sqrt(1 / n - 1 / total)
    for factor, settled in ((0.999, False), (1.001, True)):
        for sign in (1, -1):
            criterion = NullCriterion(found, 0, margins=(sign * factor * shift,))
            assert criterion.is_settled(total) is settled


def test_one_draw_leaves_every_margin_open() -> None:
    assert not NullCriterion(predict(1.0, [0.0], "raw"), 0, margins=(1e9,)).is_settled(2)


@pytest.mark.parametrize("least_z", [9.0, 40.0])
def test_a_bar_far_out_is_reached(least_z: float) -> None:
    """Φ(z) is 1 from 8.3 on, and its quantile infinite (in older SciPy no number)."""
    low, high = (chance_of_reaching(z, 8, least_z, 20) for z in (1.0, least_z))
    assert (low, high) == (0, 1)

"""Curves: by hand, by definition, and on noise of which the answer is known."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.curves import (
    Movement,
    bursts,
    ends,
    level_before,
    movement,
    noise,
    rolling_median,
)

curves = st.lists(st.floats(-100, 100), min_size=1, max_size=40).map(np.array)
windows = st.integers(3, 15)


@settings(max_examples=25)
@given(curves, windows)
def test_the_rolling_median_by_definition(values: np.ndarray, window: int) -> None:
    half = window // 2
    expected = [statistics.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    assert list(rolling_median(values, window)) == pytest.approx(expected)


@settings(max_examples=25)
@given(curves, windows)
def test_the_level_before_by_definition(values: np.ndarray, window: int) -> None:
    window = max(window, 5)
    found = level_before(values, window)
    assert np.isnan(found[:5]).all()
    expected = [statistics.median(values[max(0, i - window) : i]) for i in range(5, len(values))]
    assert list(found[5:]) == pytest.approx(expected)


def test_the_noise_of_normal_values_is_their_sd() -> None:
    values = np.random.default_rng(0).normal(7, 2, 4000)
    residual = 2 * math.sqrt(1 + math.pi / 2 / 10)  # a value minus a median of ten
    found = noise(values, 10)
    assert len(found) == 4000
    assert np.median(found) == pytest.approx(residual, rel=0.06)


def test_noise_that_shrinks_is_reported_where_it_is() -> None:
    size = np.repeat([1.0, 0.1], 500)
    found = noise(10 + size * np.random.default_rng(0).normal(size=1000), 10)
    assert found[200] == pytest.approx(1, rel=0.4)
    assert found[800] == pytest.approx(0.1, rel=0.4)


def test_a_straight_line_has_no_noise() -> None:
    assert noise(np.linspace(5, 1, 30), 10)[10:].max() == pytest.approx(0, abs=1e-12)
    assert list(noise(np.array([3.0, 1.0]), 10)) == [0, 0]


DRAWS = {
    "normal": lambda chance, n: chance.normal(size=n),
    "t4": lambda chance, n: chance.standard_t(4, size=n),
}


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("n", [10, 30, 300])
def test_noise_has_no_burst(kind: str, n: int) -> None:
    """At most 5 % of pure noise has one: 60 curves, and the binomial's own 99.9 % beside it."""
    chance = np.random.default_rng(n)
    found = sum(bool(bursts(DRAWS[kind](chance, n), 10, 3.0)) for _ in range(60))
    assert found <= stats.binom.ppf(0.999, 60, 0.05)


@pytest.mark.parametrize(("length", "height"), [(1, 30.0), (2, 9.0), (3, 6.0), (8, 6.0)])
def test_a_burst_is_found_where_it_is(length: int, height: float) -> None:
    values = np.random.default_rng(2).normal(size=300)
    values[200 : 200 + length] += height
    (found,) = bursts(values, 10, 3.0)
    assert 200 <= found.start < found.stop <= 200 + length


def test_one_value_that_noise_may_give_is_no_burst() -> None:
    values = np.random.default_rng(2).normal(size=300)
    values[200] = 6.0
    assert bursts(values, 10, 3.0) == []


def test_sigma_raises_the_bar() -> None:
    values = np.random.default_rng(2).normal(size=300)
    values[200:203] += 8.0
    assert len(bursts(values, 10, 3.0)) == 1
    assert bursts(values, 10, 20.0) == []


def test_a_fall_is_no_burst() -> None:
    assert bursts(np.concatenate([np.full(50, 9.0), np.full(50, 1.0)]), 10, 3.0) == []


def test_movement_by_hand() -> None:
    """10 → 4, up to 6, down to 1; the reversal by 0.5 at 8 does not count."""
    corners = [10, 8, 8.5, 4, 6, 1]
    values = np.concatenate([np.full(20, corner) for corner in corners])
    found = movement(values, 3, np.full(len(values), 1.0))
    assert found == Movement(up=2.0, down=11.0)
    assert found.smoothness == pytest.approx(11 / 13)
    assert movement(values, 3, np.full(len(values), 0.1)) == Movement(up=2.5, down=11.5)


@pytest.mark.parametrize(
    ("values", "smoothness"),
    [
        (np.linspace(5, 1, 50), 1.0),
        (np.linspace(1, 5, 50), 0.0),
        (np.ones(50), 1.0),
        (np.ones(1), 1.0),
        (np.abs(np.linspace(-1, 1, 101)), 0.5),
    ],
    ids=["falls", "rises", "flat", "one", "there and back"],
)
def test_smoothness(values: np.ndarray, smoothness: float) -> None:
    assert movement(values, 3, np.zeros(len(values))).smoothness == pytest.approx(smoothness, abs=0.02)


@settings(max_examples=25)
@given(curves, windows, st.floats(0.5, 2), st.floats(-5, 5))
def test_smoothness_has_no_unit(values: np.ndarray, window: int, unit: float, offset: float) -> None:
    values = values.round(3)
    least = np.full(len(values), 0.01)
    found = movement(values, window, least).smoothness
    assert 0 <= found <= 1
    assert movement(values * unit + offset, window, least * unit).smoothness == pytest.approx(found, abs=1e-6)


def test_noise_does_not_count_as_movement() -> None:
    chance = np.random.default_rng(3)
    falling = 1 + 3 * np.exp(-np.arange(1000) / 150)
    for _ in range(20):
        values = falling * (1 + 0.4 * chance.normal(size=1000))
        assert movement(values, 10, np.zeros(1000)).smoothness > 0.8


def test_the_ends_by_hand() -> None:
    found = ends(np.arange(100.0), 10)
    assert (found.first, found.last) == (4.5, 94.5)
    found = ends(np.arange(1000.0), 10)
    assert (found.first, found.last) == (4.5, 949.5)
    found = ends(np.array([3.0, 1.0]), 10)
    assert (found.first, found.last, found.error) == (3.0, 1.0, 0.0)


def test_the_error_of_the_ends_difference() -> None:
    """Against the difference's own spread over 100 curves of noise."""
    chance = np.random.default_rng(4)
    found = [ends(chance.normal(size=300), 10) for _ in range(100)]
    spread = statistics.stdev(end.last - end.first for end in found)
    assert statistics.median(end.error for end in found) == pytest.approx(spread, rel=0.25)


def test_the_ends_of_few_values_never_overlap() -> None:
    """Five values: two at either end."""
    found = ends(np.array([9.0, 7.0, 5.0, 3.0, 1.0]), 10)
    assert (found.first, found.last) == (8.0, 2.0)


def test_the_error_of_the_ends_is_that_of_both_ends_noise() -> None:
    """Five values at the start, twelve at the end; either end's noise is its own."""
    values = np.random.default_rng(6).normal(size=120) * np.repeat([1.0, 3.0], 60)
    scale = noise(values, 5)
    assert scale[-1] > 1.3 * scale[0]
    expected = math.sqrt(math.pi / 2) * math.hypot(scale[0] / math.sqrt(5), scale[-1] / math.sqrt(12))
    assert ends(values, 5).error == pytest.approx(expected, rel=1e-3)

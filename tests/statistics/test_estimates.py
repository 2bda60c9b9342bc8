"""Ratios of sums with their errors, and the interval of what is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.statistics.estimates import Estimate, interval_of_sum, ratio_of_sums
from pytest_sway.statistics.intervals import t_interval

numbers = st.floats(-100, 100)


def test_a_ratio_by_hand() -> None:
    """x = 1, 3 over y = 2, 2: r = 1, residuals -1 and 1, error √(2/1 · 2) / 4 = 0.5."""
    assert ratio_of_sums([1.0, 3.0], [2.0, 2.0]) == Estimate(1.0, pytest.approx(0.5), 1)


def test_a_sample_weighs_as_much_as_its_denominator() -> None:
    assert ratio_of_sums([9.0, 0.0], [9.0, 1.0]).value == pytest.approx(0.9)


@given(st.lists(numbers, min_size=2, max_size=20), st.floats(0.1, 50))
def test_with_equal_denominators_it_is_students_interval(values, size) -> None:
    found = interval_of_sum([ratio_of_sums(values, [size] * len(values))])
    expected = t_interval([value / size for value in values])
    assert found.low == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert found.high == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(numbers, st.floats(0.1, 50)), min_size=2, max_size=20), st.floats(0.01, 100))
def test_a_ratio_does_not_depend_on_the_unit(pairs, unit) -> None:
    x, y = zip(*pairs, strict=True)
    one, other = ratio_of_sums(x, y), ratio_of_sums([v * unit for v in x], [v * unit for v in y])
    assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-9)
    assert other.error == pytest.approx(one.error, rel=1e-6, abs=1e-9)


def test_one_sample_has_no_error_and_none_has_no_ratio() -> None:
    assert ratio_of_sums([1.0], [2.0]) == Estimate(0.5, None, 0)
    assert ratio_of_sums([], []) == Estimate(0.0, None, 0)
    assert ratio_of_sums([1.0, 1.0], [0.0, 0.0]) == Estimate(0.0, None, 1)
    assert interval_of_sum([Estimate(0.5, None, 0), Estimate(1.0, 0.1, 5)]) is None
    assert interval_of_sum([]) is None


def test_unpaired_samples_are_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words
        ratio_of_sums([1.0], [1.0, 2.0])


def test_two_equal_errors_add_their_degrees_of_freedom() -> None:
    """Satterthwaite of two alike is 2·df; the t quantile of 14 is 2.1448 (any table)."""
    found = interval_of_sum([Estimate(1.0, 0.3, 7), Estimate(2.0, 0.3, 7)])
    half = 2.1448 * 0.3 * math.sqrt(2)
    assert (found.low, found.high) == (pytest.approx(3 - half, rel=1e-4), pytest.approx(3 + half, rel=1e-4))


def test_a_sum_without_error_has_no_width() -> None:
    found = interval_of_sum([Estimate(0.5, 0.0, 3), Estimate(0.0, 0.0, 1)])
    assert (found.low, found.high) == (0.5, 0.5)


def test_it_covers_a_sections_lift() -> None:
    """Eight sentences of 8 to 39 tokens: the docstring's figure, over 1,000 samples."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        base = rng.integers(8, 40, 8) * rng.normal(4.5, 0.5, 8)
        found = interval_of_sum([ratio_of_sums(rng.normal(0.5, 0.2, 8) * base, base)])
        hits += found.low <= 0.5 <= found.high
    assert 0.91 < hits / 1000 < 0.97

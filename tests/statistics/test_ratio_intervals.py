"""Fieller's interval is the set of ratios that the contrast does not exclude; and it covers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.statistics.intervals import t_interval
from pytest_sway.statistics.ratio_intervals import contrast_interval, fieller_interval

pairs = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.5, 3)), min_size=2, max_size=15)


def normal_pairs(n: int, errors: float, samples: int) -> np.ndarray:
    """Ratio 0.8, correlation 0.2; the denominators' mean is so many of its standard errors from 0."""
    centre = errors / np.sqrt(n)
    rng = np.random.default_rng([n, int(errors)])
    return rng.multivariate_normal([0.8 * centre, centre], [[1, 0.2], [0.2, 1]], (samples, n))


@given(pairs)
def test_at_its_ends_the_contrast_touches_zero(items: list[tuple[float, float]]) -> None:
    w, v = [a for a, _ in items], [b for _, b in items]
    found = fieller_interval(w, v)
    if found is None:
        bounded = t_interval(v)
        assert bounded is not None
        assert bounded.low <= 1e-9
        return
    lower, upper = contrast_interval(w, v, found.low), contrast_interval(w, v, found.high)
    assert lower is not None
    assert upper is not None
    scale = 1e-6 * (1 + max(abs(found.low), abs(found.high)))
    assert lower.low == pytest.approx(0, abs=scale)
    assert upper.high == pytest.approx(0, abs=scale)
    assert found.low <= sum(w) / sum(v) + 1e-9
    assert found.high >= sum(w) / sum(v) - 1e-9


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=15))
def test_over_a_constant_it_is_the_t_interval(values: list[float]) -> None:
    found, expected = fieller_interval(values, [2.0] * len(values)), t_interval([v / 2 for v in values])
    assert found is not None
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(pairs, st.floats(-3, 3))
def test_the_contrast_is_the_t_interval_of_the_rest(items: list[tuple[float, float]], ratio: float) -> None:
    w, v = [a for a, _ in items], [b for _, b in items]
    assert contrast_interval(w, v, ratio) == t_interval([a - ratio * b for a, b in items])


def test_a_ratio_without_scatter_is_exact() -> None:
    found = fieller_interval([0.5, 1.0, 1.5, 2.0], [1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.5, 0.5), abs=1e-12)


@pytest.mark.parametrize(
    ("w", "v"),
    [
        ([1.0], [1.0]),
        ([], []),
        ([1.0, 2.0, 3.0], [-1.0, -1.1, -0.9]),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
        ([1.0, 2.0, 3.0], [-1.0, 0.1, 2.0]),
    ],
    ids=["one item", "none", "negative", "zero", "not clear of zero"],
)
def test_no_interval(w: list[float], v: list[float]) -> None:
    assert fieller_interval(w, v) is None


@pytest.mark.parametrize("interval", [fieller_interval, lambda w, v: contrast_interval(w, v, 0.5)])
def test_items_come_in_pairs(interval: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - for one of them Python's own words
        interval([1.0, 2.0, 3.0], [1.0, 2.0])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("n", "errors", "declined", "claimed"),
    [
        *[(5, 10, 0.0, 0.95), (8, 10, 0.0, 0.95), (20, 10, 0.0, 0.95)],
        *[(5, 4, 0.16, 0.95), (8, 4, 0.07, 0.95), (20, 4, 0.03, 0.95)],
        *[(5, 2, 0.66, 0.93), (8, 2, 0.60, 0.94), (20, 2, 0.53, 0.945)],
    ],
)
def test_coverage(n: int, errors: int, declined: float, claimed: float) -> None:
    """The docstring's figures on other samples, within three sampling errors and their rounding."""
    samples = normal_pairs(n, errors, 2000)
    found = [fieller_interval(list(w), list(v)) for w, v in samples.transpose(0, 2, 1)]
    given_ = [i for i in found if i is not None]
    none = 1 - len(given_) / len(found)
    assert abs(none - declined) <= 3 * np.sqrt(declined * (1 - declined) / len(found)) + 0.005
    held = np.mean([i.low <= 0.8 <= i.high for i in given_])
    assert abs(held - claimed) <= 3 * np.sqrt(claimed * (1 - claimed) / len(given_)) + 0.005


@pytest.mark.parametrize("errors", [10, 2])
def test_contrast_decisions_hold_near_a_zero_denominator(errors: int) -> None:
    samples = normal_pairs(8, errors, 2000)
    found = [contrast_interval(list(w), list(v), 0.8) for w, v in samples.transpose(0, 2, 1)]
    held = np.mean([i is not None and i.low <= 0 <= i.high for i in found])
    assert abs(held - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 2000)


def test_single_precision_is_computed_in_fp64() -> None:
    """Summed in fp32, these would lose their scatter to their mean."""
    rng = np.random.default_rng(2)
    w, v = (rng.normal(1000, 0.01, 40).astype(np.float32) for _ in range(2))
    found, expected = fieller_interval(w, v), fieller_interval(w.tolist(), v.tolist())  # type: ignore[arg-type]
    assert found == expected


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
def test_the_level_is_the_one_that_was_asked_for(level: float) -> None:
    w, v = [1.0, 2.5, 0.5, 2.0], [2.0, 3.0, 2.5, 3.5]
    assert contrast_interval(w, v, 0.5, level) == t_interval([0.0, 1.0, -0.75, 0.25], level)


def test_denominators_that_just_reach_zero_give_no_ratio() -> None:
    """The interval of [a, b] touches 0 where its mean is t times its standard error."""
    v = [1.0, 1.0 + 1e-9]
    reach = t_interval(v)
    assert reach is not None
    shift = reach.low
    assert fieller_interval([1.0, 2.0], [one - shift - 1e-12 for one in v]) is None
    assert fieller_interval([1.0, 2.0], [one - shift + 1e-9 for one in v]) is not None


def test_items_that_are_no_pairs_are_named() -> None:
    with pytest.raises(ValueError, match="3 numerators and 2 denominators"):
        fieller_interval([1.0, 2.0, 3.0], [1.0, 2.0])

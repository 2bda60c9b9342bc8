"""The interval of paired differences: Student's t as scipy has it, without numpy."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from pytest_sway.statistics.intervals import t_interval
from pytest_sway.statistics.paired_differences import paired_interval, t_quantile

levels = st.floats(0.01, 0.999)
differences = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)


@given(st.integers(1, 400), levels)
def test_the_quantile_is_scipys(df: int, level: float) -> None:
    assert t_quantile(df, level) == pytest.approx(float(special.stdtrit(df, 0.5 + level / 2)), rel=1e-9)


@pytest.mark.parametrize(
    ("df", "level", "printed"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (5, 0.99, 4.032), (11, 0.95, 2.201), (30, 0.9, 1.697)],
)
def test_the_quantile_is_the_printed_tables(df: int, level: float, printed: float) -> None:
    assert t_quantile(df, level) == pytest.approx(printed, abs=5e-4)


@given(differences, levels)
def test_the_interval_is_that_of_signed_samples(values: list[float], level: float) -> None:
    mine, theirs = paired_interval(values, level), t_interval(values, level)
    assert mine is not None
    assert theirs is not None
    assert mine == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=3, max_size=20))
def test_it_excludes_zero_where_the_paired_t_test_does(pairs: list[tuple[float, float]]) -> None:
    changes = [now - then for then, now in pairs]
    if math.sqrt(sum((c - sum(changes) / len(changes)) ** 2 for c in changes)) < 1e-6:
        return  # scipy has no p without scatter
    low, high = paired_interval(changes) or (0.0, 0.0)
    p = stats.ttest_rel([now for _, now in pairs], [then for then, _ in pairs]).pvalue
    if abs(p - 0.05) > 1e-6:
        assert (low > 0 or high < 0) == (p < 0.05)


@given(differences, st.floats(-100, 100))
def test_turned_round_and_shifted_it_moves_along(values: list[float], by: float) -> None:
    low, high = paired_interval(values) or (0.0, 0.0)
    turned = paired_interval([-value for value in values])
    shifted = paired_interval([value + by for value in values])
    assert turned == pytest.approx((-high, -low), abs=1e-9)
    assert shifted == pytest.approx((low + by, high + by), rel=1e-6, abs=1e-6)


def test_one_difference_has_no_interval_and_equal_ones_no_width() -> None:
    assert paired_interval([]) is None
    assert paired_interval([0.3]) is None
    assert paired_interval([0.0] * 5) == (0.0, 0.0)


@pytest.mark.parametrize(("df", "level"), [(0, 0.95), (-1, 0.95), (3, 0.0), (3, 1.0), (3, float("nan"))])
def test_what_is_no_quantile(df: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"degrees of freedom|is not between"):
        t_quantile(df, level)


@pytest.mark.slow
def test_no_numpy_is_needed() -> None:
    code = "import sys, pytest_sway.statistics.paired_differences; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""A rate's exact bounds: against scipy's beta quantiles, their definition, and without numpy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.rate_bounds import lower_bound, upper_bound

counts = st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.floats(0.01, 0.999)


@given(counts, levels)
def test_upper_bound_is_the_beta_quantile(count: tuple[int, int], level: float) -> None:
    hits, n = count
    expected = stats.beta.ppf(level, hits + 1, n - hits) if hits < n else 1.0
    assert upper_bound(hits, n, level) == pytest.approx(expected, abs=1e-9)


@given(counts, levels)
def test_lower_bound_is_the_beta_quantile(count: tuple[int, int], level: float) -> None:
    hits, n = count
    expected = stats.beta.ppf(1 - level, hits, n - hits + 1) if hits else 0.0
    assert lower_bound(hits, n, level) == pytest.approx(expected, abs=1e-9)


@given(counts, levels)
def test_at_the_bound_so_few_hits_are_as_rare_as_promised(count: tuple[int, int], level: float) -> None:
    hits, n = count
    assume(hits < n)
    assert stats.binom.cdf(hits, n, upper_bound(hits, n, level)) == pytest.approx(1 - level, abs=1e-7)


@given(st.integers(1, 1000))
def test_none_and_all(n: int) -> None:
    assert upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-12)
    assert upper_bound(n, n) == 1.0
    assert lower_bound(0, n) == 0.0


@given(st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_more_hits_raise_the_bound(count: tuple[int, int]) -> None:
    hits, n = count
    assert upper_bound(hits - 1, n) < upper_bound(hits, n)


@pytest.mark.parametrize(
    ("hits", "n", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 1.0), (1, 5, 0.0)]
)
def test_what_is_no_rate(hits: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"is not a valid rate|is not between"):
        upper_bound(hits, n, level)


def test_the_session_may_use_them_without_numpy() -> None:
    code = (
        "import sys, pytest_sway.statistics.rate_bounds, pytest_sway.statistics.multiple_testing;"
        "print(*(name for name in ('numpy', 'scipy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

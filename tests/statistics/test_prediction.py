"""The null's prediction: against scipy, by simulation, and where no z may be given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.prediction import Z_CLIP, display_z, predict, z_of_t

finite = st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-6 or v == 0)


@given(st.floats(-60, 60), st.integers(2, 50))
def test_z_is_the_normal_quantile_of_the_t_tail(t: float, df: int) -> None:
    upper = float(stats.norm.isf(stats.t.sf(abs(t), df)))
    assert z_of_t(t, df) == pytest.approx(math.copysign(upper, t), abs=1e-6)
    assert abs(display_z(z_of_t(t, df))) <= Z_CLIP


@given(st.lists(finite, min_size=2, max_size=12, unique=True), finite)
def test_a_hand_calculation(draws: list[float], value: float) -> None:
    spread = float(np.std(draws, ddof=1))
    found = predict(value, draws, "raw")
    if spread < 1e-9:
        return
    t = (value - np.mean(draws)) / (spread * math.sqrt(1 + 1 / len(draws)))
    assert found.z is not None
    assert found.p == pytest.approx(stats.t.sf(t, len(draws) - 1), rel=1e-6, abs=1e-300)
    assert found.rank == sum(d >= value for d in draws)
    assert found.draws == tuple(draws)


@pytest.mark.parametrize("n", [3, 8, 20])
@pytest.mark.parametrize("scale", ["raw", "log", "inverse_root"])
def test_three_sigma_is_three_sigma_for_a_normal_null(n: int, scale: str) -> None:
    """40,000 adapters that are pure noise: the share beyond 3σ is 0.135 % within its sampling error."""
    rng = np.random.default_rng(n)
    normal = rng.normal(5.0, 0.5, size=(40_000, n + 1))
    values = {"raw": normal, "log": np.exp(normal), "inverse_root": 1 / normal**2}[scale]
    t_scale = {"raw": lambda x: x, "log": np.log, "inverse_root": lambda x: -1 / np.sqrt(x)}[scale]
    x = t_scale(values)
    t = (x[:, n] - x[:, :n].mean(1)) / (x[:, :n].std(1, ddof=1) * math.sqrt(1 + 1 / n))
    beyond = stats.t.sf(t, n - 1) <= stats.norm.sf(3)
    low, high = stats.binomtest(int(beyond.sum()), len(t)).proportion_ci(0.999)
    assert low <= stats.norm.sf(3) <= high
    row = int(np.argmax(t))
    found = predict(values[row, n], list(values[row, :n]), scale)  # type: ignore[arg-type]
    assert found.z == pytest.approx(z_of_t(float(t[row]), n - 1), abs=1e-6)


def test_lower_is_better_turns_the_sign() -> None:
    draws = [1.0, 1.1, 0.9, 1.05]
    low = predict(0.2, draws, "raw", "lower")
    assert low.z is not None
    assert low.z > 2
    assert low.rank == 0
    assert predict(0.2, draws, "raw").z == pytest.approx(-low.z)


@pytest.mark.parametrize(
    ("value", "draws", "why"),
    [
        (1.0, [0.5], "fewer than two"),
        (1.0, [0.5, 0.5, 0.5], "all gave the same number"),
        (1.0, [0.5, 0.5 + 1e-14, 0.5], "all gave the same number"),
        (0.1000000001, [0.1] * 20, "all gave the same number"),
        (0.2, [0.1, 0.1 + 1.4e-17], "all gave the same number"),
        (0.0, [0.1, 0.2, 0.3], "no effect"),
        (1.0, [0.0, 0.2, 0.3], "smaller than the rounding error"),
    ],
)
def test_no_z_and_why(value: float, draws: list[float], why: str) -> None:
    found = predict(value, draws, "log", resolution=1e-13)
    assert found.z is None
    assert found.p is None
    assert why in found.reason


def test_a_spread_below_the_resolution_is_reported_as_that() -> None:
    found = predict(0.2, [0.1, 0.11, 0.12], "log", resolution=0.05)
    assert (found.z, found.reason) == (None, "the random adapters differ by less than the rounding error")


def test_one_draw_has_no_spread() -> None:
    found = predict(2.0, [1.0], "raw")
    assert (found.sd, found.z, found.rank, found.draws) == (0.0, None, 0, (1.0,))
    assert found.reason == "fewer than two random adapters gave a value"


def test_p_is_never_zero() -> None:
    found = predict(1e200, list(range(1, 40)), "raw")
    assert found.p is not None
    assert found.p > 0


def test_what_the_draws_alone_support() -> None:
    found = predict(1.0, [0.1, 0.2, 0.3, 2.0], "raw")
    assert (found.rank, found.n) == (1, 4)
    assert found.rank_p == pytest.approx(2 / 5)
    assert found.ratio == pytest.approx(1.0 / 0.65)


def test_z_is_clipped_and_finite_however_far() -> None:
    found = predict(1e9, list(np.linspace(1, 2, 20)), "raw")
    assert found.z is not None
    assert math.isfinite(found.z)
    assert display_z(found.z) == Z_CLIP
    assert display_z(-found.z) == -Z_CLIP
    assert found.p is not None
    assert 0 <= found.p < 1e-20


def test_a_bounded_scale_tells_how_far_an_effect_could_be() -> None:
    draws = [0.5, 1.0, 2.0, 4.0, 0.7, 1.3, 3.0, 0.9]
    far = predict(1e12, draws, "inverse_root")
    assert far.limit is not None
    assert far.z == pytest.approx(far.limit, abs=1e-3)
    assert far.limit < 3
    assert predict(1.5, draws, "inverse_root").limit == far.limit
    assert predict(1e12, draws, "log").limit is None
    lower = predict(1e-3, draws, "inverse_root", "lower")
    assert (lower.limit, (lower.z or 0.0) > 3) == (None, True)

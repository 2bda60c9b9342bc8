"""Loss curves: a healthy noisy one is calm, and a spike or rise that was put into it is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_sway.statistics.loss_curve import loss_curve, validation_trend


def healthy(seed: int, n: int = 600, noise: float = 0.15, tails: int = 4) -> np.ndarray:
    """A loss that falls from 3 to 0.8, under noise of heavy tails in proportion to it."""
    level = 0.8 + 2.2 * np.exp(-np.arange(n) / (n / 6))
    draws = np.random.default_rng(seed).standard_t(tails, size=n) / math.sqrt(tails / (tails - 2))
    return np.maximum(level * (1 + noise * draws), 0.01)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([60, 200, 1500]), st.floats(0.0, 0.4))
def test_a_healthy_noisy_run_is_calm(seed: int, n: int, noise: float) -> None:
    found = loss_curve(healthy(seed, n, noise).tolist(), 10, 3.0)
    assert found.events == 0
    assert found.smoothness > 0.7
    assert not found.diverged
    assert found.convergence_ratio is not None
    assert found.convergence_ratio < 0.7


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(100, 590))
def test_a_spike_of_three_steps_is_found(seed: int, at: int) -> None:
    losses = healthy(seed, noise=0.1)
    losses[at : at + 3] *= 3
    (found,) = loss_curve(losses.tolist(), 10, 3.0).spikes
    assert at <= found < at + 3


def test_two_spikes_are_two_events() -> None:
    losses = healthy(1)
    losses[200:203] *= 4
    losses[400:404] *= 4
    found = loss_curve(losses.tolist(), 10, 3.0)
    assert found.spikes == (200, 400)
    assert found.events == 2


def test_a_bump_that_does_not_matter_is_no_event() -> None:
    """A noiseless curve that rises by 5 % for a while; and a spike of 0.02 nats after a start at 3."""
    losses = np.linspace(3, 1, 200)
    losses[100:105] *= 1.05
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == ()
    losses[150:] = 0.01
    losses[180:183] = 0.03
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == ()


def test_a_run_that_falls_fast_is_measured_from_its_start() -> None:
    """Nine tenths of the fall in the first fortieth: a tenth's median would have missed it."""
    losses = 1 + 3 * np.exp(-np.arange(1000) / 25)
    found = loss_curve(losses.tolist(), 10, 3.0)
    assert found.initial == pytest.approx(4 - 0.5, abs=0.1)
    assert found.convergence_ratio == pytest.approx(1 / 3.5, abs=0.02)


@pytest.mark.parametrize("rise", [0.05, 0.5, 3.0])
def test_a_run_that_ends_above_its_start_diverged(rise: float) -> None:
    level = np.linspace(1, 1 + rise, 400)
    found = loss_curve((level * (1 + 0.02 * np.random.default_rng(0).normal(size=400))).tolist(), 10, 3.0)
    assert found.diverged


@pytest.mark.parametrize("n", [10, 20, 100])
def test_a_flat_noisy_run_did_not_diverge(n: int) -> None:
    chance = np.random.default_rng(n)
    found = sum(
        loss_curve((2 + 0.5 * chance.normal(size=n)).clip(0.01).tolist(), 10, 3.0).diverged for _ in range(60)
    )
    assert found <= 3


def test_a_hill_is_not_smooth() -> None:
    """Down by 2, up by 1.5, down by 1.2: 1.5 of 4.7 goes up."""
    level = np.concatenate([np.linspace(3, 1, 150), np.linspace(1, 2.5, 150), np.linspace(2.5, 1.3, 150)])
    found = loss_curve(level.tolist(), 10, 3.0)
    assert found.smoothness == pytest.approx(1 - 1.5 / 4.7, abs=0.02)


def test_losses_that_are_no_numbers_are_events_and_left_out() -> None:
    losses = np.linspace(3, 1, 100)
    losses[[10, 11, 50]] = math.nan
    found = loss_curve(losses.tolist(), 10, 3.0)
    assert (found.non_finite, found.events, found.spikes) == (3, 3, ())
    assert found.smoothness == 1.0
    losses[80:84] = 9.0
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == (80,)


@pytest.mark.parametrize("losses", [[], [math.nan] * 12, [1.0, math.nan]])
def test_nothing_to_measure(losses: list[float]) -> None:
    found = loss_curve(losses, 10, 3.0)
    assert (found.initial, found.final, found.convergence_ratio, found.smoothness) == (None, None, None, 0.0)
    assert not found.diverged


def test_a_loss_below_zero_has_no_ratio() -> None:
    found = loss_curve(np.linspace(-1, -3, 50).tolist(), 10, 3.0)
    assert found.convergence_ratio is None
    assert (found.smoothness, found.spikes, found.diverged) == (1.0, (), False)
    assert loss_curve(np.linspace(-3, -1, 50).tolist(), 10, 3.0).diverged


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1e6) | st.just(math.nan), max_size=60), st.integers(3, 30), st.floats(0.1, 9))
def test_any_losses_have_a_shape(losses: list[float], window: int, sigma: float) -> None:
    found = loss_curve(losses, window, sigma)
    assert 0 <= found.smoothness <= 1
    assert found.non_finite == sum(map(math.isnan, losses))
    assert all(math.isfinite(losses[index]) for index in found.spikes)


@pytest.mark.parametrize(
    ("losses", "rises"),
    [
        ([2.0, 1.5, 1.2, 1.1, 1.05], False),
        ([2.0, 1.5, 1.2, 1.5, 1.9], True),
        ([2.0, 1.0, 1.04], False),
        ([2.0, 1.0, 1.06], True),
        ([1.0, 1.0, 1.0], False),
        ([2.0, 1.4, 1.1, 1.0, 1.02, 1.1, 1.2, 1.35], True),
    ],
)
def test_validation(losses: list[float], rises: bool) -> None:
    found = validation_trend(losses)
    assert found is not None
    assert (found.best, found.last, found.rises) == (min(losses), losses[-1], rises)


def test_validation_noise_is_no_rise() -> None:
    chance = np.random.default_rng(5)
    found = [validation_trend((1 + 0.06 * chance.normal(size=20)).tolist()) for _ in range(100)]
    assert sum(one is not None and one.rises for one in found) <= 100 * 0.1


def test_two_validation_losses_say_nothing() -> None:
    assert validation_trend([1.0, 2.0]) is None


def test_losses_in_half_precision_and_as_texts_of_python_are_the_same() -> None:
    losses = np.round(healthy(4, n=120), 2).astype(np.float16)
    assert loss_curve(losses, 10, 3.0) == loss_curve(losses.astype(float).tolist(), 10, 3.0)  # type: ignore[arg-type]
    assert validation_trend(losses) == validation_trend(losses.astype(float).tolist())  # type: ignore[arg-type]


def test_two_losses_have_a_start_and_an_end() -> None:
    found = loss_curve([3.0, 1.0], 10, 3.0)
    assert (found.initial, found.final, found.smoothness, found.diverged) == (3.0, 1.0, 1.0, False)
    assert loss_curve([], 10, 3.0).diverged is False


@pytest.mark.parametrize(
    ("start", "rise", "diverged"), [(5.0, 1.019, False), (5.0, 1.021, True), (0.2, 1.021, True)]
)
def test_a_rise_of_two_per_cent_is_the_least_that_diverged(start: float, rise: float, diverged: bool) -> None:
    losses = np.repeat([start, start * rise], 200)
    assert loss_curve(losses.tolist(), 10, 3.0).diverged is diverged


@pytest.mark.parametrize(
    ("level", "up", "smooth"), [(4.0, 1.09, True), (4.0, 1.12, False), (0.25, 1.12, False)]
)
def test_a_reversal_of_ten_per_cent_of_the_level_counts(level: float, up: float, smooth: bool) -> None:
    """Of the level that it reaches."""
    losses = np.repeat([3 * level, level, level * up], 100)
    assert (loss_curve(losses.tolist(), 10, 3.0).smoothness == 1.0) is smooth


@pytest.mark.parametrize(
    ("start", "level", "spike", "found"),
    [
        (3.0, 2.0, 2.18, False),  # 9 % of the level
        (3.0, 2.0, 2.22, True),
        (3.0, 0.02, 0.049, False),  # 0.029 nats, which is below 1 % of the start
        (3.0, 0.02, 0.051, True),
        (0.3, 0.2, 0.218, False),
        (0.3, 0.2, 0.222, True),
    ],
)
def test_the_least_spike(start: float, level: float, spike: float, found: bool) -> None:
    losses = np.repeat([start, level], [100, 200])
    losses[200:205] = spike
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == ((200,) if found else ())


def test_losses_that_touch_zero_are_looked_at_as_their_square_roots() -> None:
    """Noise in proportion to the level: taken as it is, its largest values would be spikes."""
    losses = healthy(11, noise=0.3)
    losses[550] = 0.0
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == ()


def test_losses_below_zero_have_spikes_too() -> None:
    losses = np.repeat([-1.0, -2.0], [100, 200])
    losses[200:205] = -1.2
    assert loss_curve(losses.tolist(), 10, 3.0).spikes == (200,)


@pytest.mark.parametrize("count", [8, 12, 30])
def test_the_noise_of_validation_losses_is_that_of_the_formula(count: int) -> None:
    """√2·t·σ, t of Student's distribution at 0.05 / n, half as many degrees as third differences."""
    noisy = np.random.default_rng(count).normal(1, 0.2, count)
    sigma = 1.4826 * np.median(np.abs(np.diff(noisy, 3))) / math.sqrt(20)
    bar = math.sqrt(2) * stats.t.ppf(1 - 0.05 / count, (count - 3) / 2) * sigma
    for factor, rises in ((0.98, False), (1.02, True)):
        values = noisy.copy()
        for _ in range(200):  # the last value is among those that the noise is of
            sigma = 1.4826 * np.median(np.abs(np.diff(values, 3))) / math.sqrt(20)
            bar = math.sqrt(2) * stats.t.ppf(1 - 0.05 / count, (count - 3) / 2) * sigma
            values[-1] = values[:-1].min() + factor * bar
        assert bar > 0.05
        found = validation_trend(values.tolist())
        assert found is not None
        assert found.rises is rises


@pytest.mark.parametrize(
    ("best", "last", "rises"), [(4.0, 4.19, False), (4.0, 4.21, True), (0.5, 0.53, True)]
)
def test_a_validation_loss_rises_by_five_per_cent_at_least(best: float, last: float, rises: bool) -> None:
    found = validation_trend([2 * best, best, last])
    assert found is not None
    assert found.rises is rises

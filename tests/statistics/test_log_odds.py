"""Log-odds against scipy, and at the ends of the scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from pytest_sway.statistics.log_odds import SUREST, log_odds


@given(st.lists(st.floats(1e-30, 1.0), min_size=1))
def test_it_is_the_sum_of_the_logits(probabilities: list[float]) -> None:
    expected = logit(np.minimum(probabilities, SUREST)).sum()
    assert log_odds([math.log(p) for p in probabilities]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_certainty_is_finite_and_no_surer_than_the_surest() -> None:
    assert log_odds([0.0]) == log_odds([math.log(SUREST)]) == pytest.approx(math.log(999))
    assert log_odds([1e-9]) == pytest.approx(math.log(999))  # rounding, a little above 1


def test_an_unlikely_token_is_its_log_probability() -> None:
    assert log_odds([-40.0, -50.0]) == pytest.approx(-90.0)


def test_half_precision_is_summed_in_fp64() -> None:
    halves = np.full(4096, -0.6931, dtype=np.float16)
    assert log_odds(halves) == pytest.approx(4096 * logit(math.exp(float(halves[0]))), rel=1e-9)  # type: ignore[arg-type]

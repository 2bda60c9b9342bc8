"""Layers against layers: what scatters is let be, what stands out is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.training.layer_map import ParameterLocation
from pytest_sway.training.layer_statuses import layer_statuses
from pytest_sway.training.optimizer_state import MomentSummary


def layered(**means: list[float]) -> tuple[list[ParameterLocation], list[MomentSummary]]:
    """One parameter of each part per layer."""
    places = [
        ParameterLocation(f"{i}.{part}", f"layers.{i}", i, part)
        for part in means
        for i in range(len(means[part]))
    ]
    values = [value for part in means for value in means[part]]
    return places, [MomentSummary((2,), v, 2 if math.isnan(v) else 0, 2, 60) for v in values]


def flagged(ratio: float = 2.0, **means: list[float]) -> list[str]:
    return [name for name, found in layer_statuses(*layered(**means)).items() if found.undertrained(ratio)]


def test_by_hand() -> None:
    """log₁₀: 0, 0, -1, -1, -4; median -1, MAD of 1, 1, 0, 0, 3 = 1: spread 4.4478, the last 3 below."""
    found = layer_statuses(*layered(lora_A=[1.0, 1.0, 0.1, 0.1, 1e-4]))
    assert found["layers.4"].below == pytest.approx(3.0)
    assert found["layers.4"].spread == pytest.approx(3 * 1.4826)
    assert found["layers.4"].ratio == pytest.approx(1000.0)
    assert not found["layers.4"].undertrained(2.0)


def test_a_layer_that_stands_out() -> None:
    even = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]
    assert flagged(lora_A=[*even, 0.3]) == ["layers.6"]
    assert flagged(lora_A=[*even, 0.3], ratio=4.0) == []
    assert flagged(lora_A=[*even, 30.0]) == []


def test_the_factors_are_compared_each_with_its_like() -> None:
    """Every B is a thousand times every A: no layer stands out; one whose A is small does."""
    even = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]
    assert flagged(lora_A=even, lora_B=[1000 * v for v in even]) == []
    assert flagged(lora_A=[*even[:-1], 1e-3], lora_B=[1000 * v for v in even]) == ["layers.5"]


def test_a_dead_layer_is_flagged_and_does_not_move_the_others() -> None:
    found = layer_statuses(*layered(lora_B=[1.0, 0.0, 1.0, 1.0]))
    assert [found[f"layers.{i}"].below for i in range(4)] == [0.0, math.inf, 0.0, 0.0]
    assert found["layers.1"].ratio is None
    assert flagged(lora_B=[0.0, 0.0]) == ["layers.0", "layers.1"]


def test_a_layer_of_nan_says_nothing() -> None:
    assert set(layer_statuses(*layered(lora_A=[1.0, math.nan, 1.0]))) == {"layers.0", "layers.2"}


@settings(max_examples=50)
@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=20), st.floats(1e-6, 1e6))
def test_units_do_not_matter(values: list[float], unit: float) -> None:
    found, scaled = (
        layer_statuses(*layered(lora_A=vs)) for vs in (values, [unit * value for value in values])
    )
    for name, standing in found.items():
        assert scaled[name].below == pytest.approx(standing.below, abs=1e-9)


def test_healthy_scatter_is_let_be() -> None:
    """Log-normal over two decades (sd), with a slope over depth: hardly a layer in fifty is flagged."""
    chance = np.random.default_rng(1)
    count = 0
    for _ in range(50):
        logs = chance.normal(0, 2, 24) + np.linspace(0, 3, 24)
        count += len(flagged(lora_A=list(10.0**logs)))
    assert count <= 0.02 * 50 * 24

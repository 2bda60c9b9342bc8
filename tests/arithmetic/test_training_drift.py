"""training_drift: how much of the loss's movement goes down, and its levels at both ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals

pytestmark = pytest.mark.nightly

WINDOW = 10


@pytest.fixture(scope="module")
def losses(trainings: Path) -> np.ndarray:
    log = json.loads((trainings / "trainer_state.json").read_text("utf-8"))["log_history"]
    return np.array([row["loss"] for row in log if "loss" in row])


def reversals(curve: np.ndarray, least: float) -> list[float]:
    """The curve's ends and its extremes between reversals of ``least`` or more."""
    extremes, end, way = [curve[0]], curve[0], 0
    for value in curve[1:]:
        if way * (value - end) >= 0 and (way or abs(value - end) >= least):
            end, way = value, way or int(np.sign(value - end))
        elif way and abs(value - end) >= least:
            extremes.append(end)
            end, way = value, -way
    return [*extremes, end]


def test_smoothness(reported: dict[str, Any], losses: np.ndarray) -> None:
    """1 - up / (up + down) of the rolling median; both rises are far larger than the noise."""
    half = (WINDOW | 1) // 2
    medians = np.array([np.median(losses[max(0, at - half) : at + half + 1]) for at in range(len(losses))])
    steps = np.diff(reversals(medians, 0.1))
    up, down = steps[steps > 0].sum(), -steps[steps < 0].sum()
    assert 0 < up < down
    assert reported["training_drift"]["raw"] == equals(1 - up / (up + down))


def test_levels(reported: dict[str, Any], losses: np.ndarray) -> None:
    """Medians of the first losses, as many as the window, and of the last tenth."""
    first, last = np.median(losses[:WINDOW]), np.median(losses[-30:])
    found = reported["training_drift"]["evidence"]
    assert [found["initial_loss"], found["final_loss"]] == equals([first, last])
    assert found["convergence_ratio"] == equals(last / first)


def test_what_is_counted(reported: dict[str, Any]) -> None:
    """The spike of one step, and the validation loss that rose again."""
    found = reported["training_drift"]["evidence"]
    assert found["spike_steps"] == [260]
    assert found["instability_events"] == 1
    assert [found["best_val_loss"], found["final_val_loss"]] == [1.4, 1.9]
    assert found["val_loss_rises"] is True

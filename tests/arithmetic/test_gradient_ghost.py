"""gradient_ghost: the share of layers whose second moments lie far below the others'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.arithmetic.formulas import equals

pytestmark = pytest.mark.nightly

LAYERS, MODULES = 4, 7


def test_share_of_undertrained_layers(reported: dict[str, Any], trainings: Path) -> None:
    """Of A and of B each: log₁₀ of a layer's mean against the median over layers."""
    file = trainings / "weak_layer/training_state.pt"
    state = torch.load(file, weights_only=True)["optimizer_state_dict"]["state"]
    moments = [state[at]["exp_avg_sq"].double() for at in range(len(state))]
    low = np.zeros(LAYERS, dtype=bool)
    for factor in (0, 1):
        of_layer = [moments[at : at + 2 * MODULES][factor::2] for at in range(0, len(moments), 2 * MODULES)]
        logs = np.log10([torch.cat([one.flatten() for one in several]).mean().item() for several in of_layer])
        below = np.median(logs) - logs
        low |= below > np.log10(2) + 3 * 1.4826 * np.median(np.abs(below))
    found = reported["gradient_ghost"]
    assert low.any()
    assert found["raw"] == equals(low.mean())
    assert found["evidence"]["num_layers"] == LAYERS
    mean = torch.cat([one.flatten() for one in moments]).mean().item()
    assert found["evidence"]["global_mean_exp_avg_sq"] == equals(mean)


def test_too_few_steps(reported: dict[str, Any], trainings: Path) -> None:
    """On an early failure raw is the number of steps."""
    file = trainings / "short/training_state.pt"
    state = torch.load(file, weights_only=True)["optimizer_state_dict"]["state"]
    assert reported["gradient_ghost.short"]["verdict"] == "fail"
    assert reported["gradient_ghost.short"]["raw"] == max(int(one["step"]) for one in state.values())

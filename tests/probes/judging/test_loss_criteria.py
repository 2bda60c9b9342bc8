"""What is wrong with a training run, in words."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.probes.judging.loss_criteria import broken_signals, doubtful_signals, loss_levels
from pytest_sway.probes.judging.pre_run import judge_pre_run
from pytest_sway.result import Verdict
from pytest_sway.training.training_run import REWARD_PHASE

SOUND: dict[str, Any] = {
    "run": {"phase": "sft"},
    "num_steps": 100,
    "num_nonfinite": 0,
    "ends_nonfinite": False,
    "num_losses_logged_as_zero": 0,
    "grad_norm_broken": False,
    "grad_norm_ends_lost": False,
    "grad_norm_lost_from": None,
    "grad_norm_many_skipped": False,
    "grad_norm_all_zero": False,
    "num_grad_norms": 50,
    "num_nonfinite_grad_norms": 0,
    "loss_zero_from": None,
    "diverged": False,
    "initial_loss": 3.0,
    "final_loss": 1.0,
    "convergence_ratio": 1 / 3,
    "assert_convergence_ratio_lte": 0.7,
    "smoothness": 0.9,
    "assert_smoothness_gte": 0.7,
    "instability_events": 0,
    "assert_instability_events_lte": 0,
    "spike_steps": [],
    "val_loss_rises": False,
    "best_val_loss": None,
    "final_val_loss": None,
    "num_nonfinite_val": 0,
}
AS_ZERO = " (6 were logged as 0 while grad_norm was NaN; Trainer's logging_nan_inf_filter does this)"


def test_a_sound_run() -> None:
    assert broken_signals(SOUND) == []
    assert doubtful_signals(SOUND) == []


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [(3.0, 1.0, "loss 3 → 1"), (None, 0.12345, "loss ? → 0.123"), (12.0, None, "loss 12 → ?")],
)
def test_levels(first: float | None, last: float | None, text: str) -> None:
    assert loss_levels({"initial_loss": first, "final_loss": last}) == text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_nonfinite": 6}, ["6 of 100 losses are NaN or infinite"]),
        (
            {"num_nonfinite": 6, "ends_nonfinite": True, "num_losses_logged_as_zero": 6},
            [f"6 of 100 losses are NaN or infinite{AS_ZERO}"],
        ),
        ({"num_nonfinite": 5}, []),
        ({"num_nonfinite": 5, "ends_nonfinite": True}, ["the last loss is NaN or infinite"]),
        (
            {"ends_nonfinite": True, "num_losses_logged_as_zero": 6},
            [f"the last loss is NaN or infinite{AS_ZERO}"],
        ),
        (
            {"grad_norm_broken": True, "grad_norm_lost_from": 40},
            ["grad_norm is NaN or infinite from step 40 to the end"],
        ),
        ({"grad_norm_all_zero": True}, ["grad_norm is 0 at all 50 logged steps: nothing was trained"]),
        ({"diverged": True, "final_loss": 4.5}, ["the loss diverged: loss 3 → 4.5"]),
        ({"diverged": True, "run": {"phase": REWARD_PHASE}}, []),
    ],
)
def test_a_broken_run(changes: dict[str, Any], says: list[str]) -> None:
    assert broken_signals(SOUND | changes) == says


def test_everything_that_is_broken_is_said() -> None:
    every = {"num_nonfinite": 90, "grad_norm_broken": True, "grad_norm_all_zero": True, "diverged": True}
    assert len(broken_signals(SOUND | every)) == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"grad_norm_ends_lost": True, "grad_norm_lost_from": 90},
            (
                "grad_norm is NaN or infinite from step 90 to the end: either fp16 loss scaling skipped "
                "these steps, or the weights became NaN"
            ),
        ),
        (
            {"grad_norm_many_skipped": True, "num_nonfinite_grad_norms": 20},
            "grad_norm is NaN or infinite at 20 of 50 logged steps but finite later, so steps were skipped",
        ),
        (
            {"loss_zero_from": 70},
            (
                "the loss is 0 from step 70 to the end, and no grad_norm is logged: either the loss was NaN "
                "and Trainer logged 0 (logging_nan_inf_filter), or it was too small for the log"
            ),
        ),
        (
            {"convergence_ratio": 1.5},
            "the loss fell too little: loss 3 → 1, 1.50 of the initial loss (at most 0.7 allowed)",
        ),
        (
            {"convergence_ratio": 1.0},
            (
                "the loss fell too little: loss 3 → 1, 1.00 of the initial loss (at most 0.7 allowed; "
                "a small fall is normal if the base model already predicted the training text well)"
            ),
        ),
        ({"smoothness": 0.69}, "the loss is not smooth: smoothness 0.69 (at least 0.7)"),
        ({"instability_events": 2}, "the loss is unstable: 2 jumps (at most 0)"),
        (
            {
                "instability_events": 7,
                "assert_instability_events_lte": 1,
                "spike_steps": [3, 5, 7, 9, 11, 13],
            },
            "the loss is unstable: 7 jumps (at most 1), spikes at step 3, 5, 7, 9, 11 and 1 more",
        ),
        (
            {"val_loss_rises": True, "best_val_loss": 0.9, "final_val_loss": 1.6},
            "overfitting: the validation loss rose again, from 0.9 to 1.6",
        ),
        ({"num_nonfinite_val": 1}, "1 validation losses are NaN or infinite"),
    ],
)
def test_a_doubtful_run(changes: dict[str, Any], says: str) -> None:
    assert doubtful_signals(SOUND | changes) == [says]


@pytest.mark.parametrize(
    "changes",
    [
        {"convergence_ratio": 0.7},
        {"convergence_ratio": None},
        {"convergence_ratio": 1.5, "diverged": True},  # said once
        {"smoothness": 0.7},
        {"instability_events": 2, "assert_instability_events_lte": 2},
        {
            "convergence_ratio": 2.0,
            "smoothness": 0.0,
            "instability_events": 9,
            "run": {"phase": REWARD_PHASE},
        },
        {"loss_zero_from": None},
    ],
)
def test_nothing_to_doubt(changes: dict[str, Any]) -> None:
    assert doubtful_signals(SOUND | changes) == []


def test_a_loss_that_is_zero_from_the_first_step_is_doubtful() -> None:
    assert len(doubtful_signals(SOUND | {"loss_zero_from": 0})) == 1


@pytest.mark.parametrize(
    ("primary", "secondary", "verdict", "message", "score"),
    [
        ([], [], Verdict.PASS, "sound", 1.0),
        ([], ["a", "b"], Verdict.WARN, "a; b", 0.5),
        (["p"], ["a"], Verdict.FAIL, "p; a", 0.0),
        (["p", "q"], [], Verdict.FAIL, "p; q", 0.0),
    ],
)
def test_the_pre_run_rule(primary, secondary, verdict, message, score) -> None:
    found = judge_pre_run(primary, secondary, "sound")
    assert (found.verdict, found.message, found.score) == (verdict, message, score)

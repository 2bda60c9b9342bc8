"""What training_drift finds wrong with a run, in words. Pure functions of its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_sway.text.message_parts import shorten_list
from pytest_sway.training.training_run import REWARD_PHASE

_MOST_NON_FINITE = 0.05
"""A larger share of losses that are no finite numbers is a broken run."""


def loss_levels(found: Mapping[str, Any]) -> str:
    """The loss at the start and at the end."""
    levels = (found["initial_loss"], found["final_loss"])
    first, last = ("?" if level is None else f"{level:.3g}" for level in levels)
    return f"loss {first} → {last}"


def broken_signals(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the primary signal: losses and gradients that are numbers, a loss that falls."""
    broken, lost = [], found["num_nonfinite"]
    if lost > _MOST_NON_FINITE * found["num_steps"]:
        broken.append(f"{lost} of {found['num_steps']} losses are NaN or infinite{_logged_as_zero(found)}")
    elif found["ends_nonfinite"]:
        broken.append(f"the last loss is NaN or infinite{_logged_as_zero(found)}")
    if found["grad_norm_broken"]:
        broken.append(f"grad_norm is NaN or infinite from step {found['grad_norm_lost_from']} to the end")
    if found["grad_norm_all_zero"]:
        broken.append(f"grad_norm is 0 at all {found['num_grad_norms']} logged steps: nothing was trained")
    if found["diverged"] and found["run"]["phase"] != REWARD_PHASE:
        broken.append(f"the loss diverged: {loss_levels(found)}")
    return broken


def _logged_as_zero(found: Mapping[str, Any]) -> str:
    count = found["num_losses_logged_as_zero"]
    if not count:
        return ""
    return f" ({count} were logged as 0 while grad_norm was NaN; Trainer's logging_nan_inf_filter does this)"


def doubtful_signals(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the secondary signals."""
    return [*_doubtful_gradients(found), *_doubtful_curve(found), *_doubtful_validation(found)]


def _doubtful_gradients(found: Mapping[str, Any]) -> list[str]:
    """Gradient norms and zeros that have several causes."""
    doubtful = []
    if found["grad_norm_ends_lost"]:
        causes = "either fp16 loss scaling skipped these steps, or the weights became NaN"
        start = found["grad_norm_lost_from"]
        doubtful.append(f"grad_norm is NaN or infinite from step {start} to the end: {causes}")
    if found["grad_norm_many_skipped"]:
        count = f"{found['num_nonfinite_grad_norms']} of {found['num_grad_norms']} logged steps"
        doubtful.append(f"grad_norm is NaN or infinite at {count} but finite later, so steps were skipped")
    if found["loss_zero_from"] is not None:
        causes = (
            "either the loss was NaN and Trainer logged 0 (logging_nan_inf_filter), or it was too small for "
            "the log"
        )
        start = found["loss_zero_from"]
        doubtful.append(f"the loss is 0 from step {start} to the end, and no grad_norm is logged: {causes}")
    return doubtful


def _doubtful_curve(found: Mapping[str, Any]) -> list[str]:
    if found["run"]["phase"] == REWARD_PHASE:
        return []
    doubtful = []
    ratio, most = found["convergence_ratio"], found["assert_convergence_ratio_lte"]
    if ratio is not None and ratio > most and not found["diverged"]:
        known = "; a small fall is normal if the base model already predicted the training text well"
        hint = known if ratio <= 1 else ""
        share = f"{ratio:.2f} of the initial loss (at most {most:g} allowed{hint})"
        doubtful.append(f"the loss fell too little: {loss_levels(found)}, {share}")
    least = found["assert_smoothness_gte"]
    if found["smoothness"] < least:
        doubtful.append(f"the loss is not smooth: smoothness {found['smoothness']:.2f} (at least {least:g})")
    events, most_events = found["instability_events"], found["assert_instability_events_lte"]
    if events > most_events:
        steps = [str(step) for step in found["spike_steps"]]
        spikes = f", spikes at step {shorten_list(steps)}" if steps else ""
        jumps = f"{events} jump{'s' * (events > 1)}"
        doubtful.append(f"the loss is unstable: {jumps} (at most {most_events}){spikes}")
    return doubtful


def _doubtful_validation(found: Mapping[str, Any]) -> list[str]:
    doubtful = []
    if found["val_loss_rises"]:
        rise = f"{found['best_val_loss']:.3g} to {found['final_val_loss']:.3g}"
        doubtful.append(f"overfitting: the validation loss rose again, from {rise}")
    if found["num_nonfinite_val"]:
        doubtful.append(f"{found['num_nonfinite_val']} validation losses are NaN or infinite")
    return doubtful

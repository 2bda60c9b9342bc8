"""Records that Hugging Face's Trainer and the tools on top of it log: one per logging step.

``trainer_state.json`` keeps them in ``log_history`` (transformers; so do TRL, axolotl and Unsloth, which use
the Trainer). LLaMA-Factory also writes ``trainer_log.jsonl``, one record a line, with ``current_steps`` for
``step``. Where the loss of a step is NaN the Trainer logs 0 (``logging_nan_inf_filter``), but the gradient
norm beside it as NaN: such a loss is read as NaN. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_sway.training.errors import AmbiguousRunError, TrainingDataError
from pytest_sway.training.json_files import logged_number, parse_json, read_log_bytes, whole_number
from pytest_sway.training.training_run import REWARD_PHASE, RunBuilder, TrainingRun

TRAINER_STATE = "trainer_state.json"
TRAINER_LOG = "trainer_log.jsonl"
_STEP_KEYS = ("step", "current_steps")
_PREFERENCE_KEYS = ("rewards/chosen", "rewards/accuracies", "accuracy")
"""Logged by TRL's DPO, KTO and ORPO; the last one by LLaMA-Factory for them."""
_REWARD_KEY, _COMPLETIONS = "reward", "completions/"
"""Logged by TRL's GRPO and RLOO, and by LLaMA-Factory's PPO."""


@dataclass(frozen=True)
class TrainerState:
    """The contents of ``trainer_state.json`` that are used.

    Attributes:
        global_step: optimizer steps, those before a resume included; None where it is not a count.
        epoch: as written; None where it is not a number.
        logging_steps: steps between two records; None where it is not a number.
        history: the records of ``log_history``.
    """

    global_step: int | None
    epoch: float | None
    logging_steps: float | None
    history: Sequence[Any]


def read_trainer_state(file: Path) -> TrainerState:
    """Read ``trainer_state.json``.

    Raises:
        TrainingDataError: it cannot be read, or has no ``log_history``.
    """
    return trainer_state(file, parse_json(file, read_log_bytes(file)))


def trainer_state(file: Path, value: Any) -> TrainerState:
    """From the file's JSON value; a list is taken as a ``log_history`` that was saved alone.

    Raises:
        TrainingDataError: there is no list of records in it.
    """
    state = {"log_history": value} if isinstance(value, list) else value
    if not isinstance(state, dict):
        raise TrainingDataError(
            f"{file} contains a value of type {type(value).__name__}, but {TRAINER_STATE} must contain an "
            "object"
        )
    history = state.get("log_history")
    if not isinstance(history, list):
        kind = (
            f"a log_history of type {type(history).__name__}" if "log_history" in state else "no log_history"
        )
        if "log_history" not in state and "train_loss" in state:
            kind = "only the summary of a run (train_loss) without logged steps"
        raise TrainingDataError(
            f"{file}: found {kind}; {TRAINER_STATE} must have log_history, a list with one record per "
            "logging step"
        )
    epoch, every = logged_number(state.get("epoch")), logged_number(state.get("logging_steps"))
    return TrainerState(
        whole_number(state.get("global_step")),
        epoch if epoch is not None and math.isfinite(epoch) else None,
        every if every is not None and math.isfinite(every) else None,
        history,
    )


def check_step(file: Path, state: TrainerState, step: int) -> None:
    """Refuse a ``trainer_state.json`` of another step than its folder ``checkpoint-N``.

    Raises:
        AmbiguousRunError: it is of another step.
    """
    if state.global_step is not None and state.global_step != step:
        raise AmbiguousRunError(
            f"{file} was written at step {state.global_step}, but the folder name says step {step}"
        )


def trainer_runs(
    file: str, records: Iterable[Any], global_step: int | None = None
) -> tuple[list[TrainingRun], int]:
    """The runs of one file, and how many records could not be read.

    A step that is logged again, after a resume, replaces what was logged from it on; a step number that is
    not beyond the first one starts another run.

    Args:
        file: name of the log.
        records: JSON values, in the order in which they were logged.
        global_step: the steps of the last run, where known.
    """
    builders, bad = [RunBuilder(TrainingRun(file, phase=""))], 0
    for record in records:
        entry = _entry(record)
        if entry is None:
            bad += 1
            continue
        builder = builders[-1]
        if entry.loss is not None and builder.starts_again(entry.step):
            builder = RunBuilder(TrainingRun(file, phase=""))
            builders.append(builder)
        builder.add(entry.step, entry.values)
        if entry.loss is not None:
            builder.norms[entry.step] = entry.norm
            builder.start = replace(builder.start, phase=builder.start.phase or entry.phase)
    builders[-1].end = {"steps": global_step}
    return [_without_replaced_losses(builder.build()) for builder in builders], bad


@dataclass(frozen=True)
class _Entry:
    """One record; None for a value that it does not have."""

    step: int
    loss: float | None
    norm: float | None
    validation: float | None
    phase: str

    @property
    def values(self) -> dict[str, float]:
        numbers = {"loss": self.loss, "val_loss": self.validation}
        return {key: value for key, value in numbers.items() if value is not None}


def _entry(record: Any) -> _Entry | None:
    """The numbers of a record; None for anything else, without a step, or with a loss that is no number."""
    if not isinstance(record, dict):
        return None
    step = next((whole_number(logged_number(record[key])) for key in _STEP_KEYS if key in record), None)
    loss = logged_number(record["loss"]) if "loss" in record else None
    if step is None or (loss is None and "loss" in record):
        return None
    norm = None if record.get("grad_norm") is None else logged_number(record["grad_norm"])
    return _Entry(step, loss, norm, _validation(record), _phase(record))


def _validation(record: Mapping[str, Any]) -> float | None:
    """The loss on the evaluation set; None without one, or with several sets and no common loss."""
    if "eval_loss" in record:
        return logged_number(record["eval_loss"])
    losses = [
        value
        for key, value in record.items()
        if isinstance(key, str) and key.startswith("eval_") and key.endswith("_loss")
    ]
    return logged_number(losses[0]) if len(losses) == 1 else None


def _phase(record: Mapping[str, Any]) -> str:
    if _REWARD_KEY in record or any(key.startswith(_COMPLETIONS) for key in record):
        return REWARD_PHASE
    return "preference" if any(key in record for key in _PREFERENCE_KEYS) else ""


def _without_replaced_losses(run: TrainingRun) -> TrainingRun:
    """The run with NaN where 0 was logged beside a gradient norm that was not finite."""
    if not run.gradient_norms:
        return run
    pairs = zip(run.losses, run.gradient_norms, strict=True)
    replaced = [loss == 0 and norm is not None and not math.isfinite(norm) for loss, norm in pairs]
    losses = tuple(math.nan if gone else loss for loss, gone in zip(run.losses, replaced, strict=True))
    return replace(run, losses=losses, replaced=sum(replaced))

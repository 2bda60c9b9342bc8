"""Which optimizer state belongs to an adapter. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_sway.training.checkpoints import checkpoint_step, checkpoints
from pytest_sway.training.optimizer_state import STATE_FILE
from pytest_sway.training.trainer_log import TRAINER_STATE, TrainerState, check_step, read_trainer_state

TRAINER_FILES = ("optimizer.pt", "optimizer.bin")
"""Trainer's (``torch.save`` of the optimizer's ``state_dict``), and accelerate's of the same content."""


@dataclass(frozen=True)
class OptimizerFile:
    """An optimizer state to read, or where none was kept, the trainer's log.

    Attributes:
        path: the state; a ``trainer_state.json`` where there is no state.
        kept: whether there is a state.
        dlm: whether it is dlm's.
        trainer: the ``trainer_state.json`` of its folder; None where there is none.
        saved_at: N of its folder ``checkpoint-N``; None for another folder.
        reason: why this file, as a part of a sentence; empty where there was no choice.
    """

    path: Path
    kept: bool = True
    dlm: bool = False
    trainer: TrainerState | None = None
    saved_at: int | None = None
    reason: str = ""


def find_optimizer(place: Path) -> OptimizerFile | None:
    """The optimizer state of an adapter; None where neither it nor a ``trainer_state.json`` is there.

    Args:
        place: the adapter's folder, a trainer's output folder, or the state itself.

    Raises:
        AmbiguousRunError: the ``trainer_state.json`` beside it is of another step.
        TrainingDataError: ``trainer_state.json`` cannot be read.
    """
    if place.is_file():
        return _with_trainer_state(place, kept=place.name != TRAINER_STATE)
    for name in (STATE_FILE, *TRAINER_FILES):
        if (place / name).is_file():
            return _with_trainer_state(place / name)
    saved = [one for one in checkpoints(place, place) if one.possible]
    for one in saved:
        for name in TRAINER_FILES:
            if (one.folder / name).is_file():
                return _with_trainer_state(one.folder / name, one.relation)
    logs = [(place / TRAINER_STATE, ""), *((one.folder / TRAINER_STATE, one.relation) for one in saved)]
    return next((_with_trainer_state(log, reason, kept=False) for log, reason in logs if log.is_file()), None)


def _with_trainer_state(file: Path, reason: str = "", kept: bool = True) -> OptimizerFile:
    """A file with the ``trainer_state.json`` of its folder."""
    state, step = file.with_name(TRAINER_STATE), checkpoint_step(file.parent)
    if file.name == STATE_FILE:
        return OptimizerFile(file, dlm=True)
    trainer = read_trainer_state(state) if state.is_file() else None
    if trainer is not None and step is not None:
        check_step(state, trainer, step)
    return OptimizerFile(file, kept, False, trainer, step, reason)

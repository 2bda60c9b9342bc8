"""Which training log belongs to an adapter. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.dlm.store import LOGS
from pytest_sway.training.checkpoints import TrainerCheckpoint, checkpoint_step, checkpoints
from pytest_sway.training.errors import AmbiguousRunError
from pytest_sway.training.log_reader import find_log_files
from pytest_sway.training.trainer_log import TRAINER_LOG, TRAINER_STATE, check_step, read_trainer_state

_TORCHTUNE_FOLDER = re.compile(r"(epoch|step)_\d+", re.ASCII)


@dataclass(frozen=True)
class LogSource:
    """Logs to read.

    Attributes:
        files: in the order of their names.
        until: the adapter's step, where the log may go beyond it.
        reason: why these files, as a part of a sentence; empty where there was no choice.
    """

    files: tuple[Path, ...]
    until: int | None = None
    reason: str = ""


def find_logs(place: Path, adapter: Path | None, named: bool) -> LogSource | None:
    """The logs of the run that made an adapter; None where there are none.

    Args:
        place: a log, or a folder: the adapter's own, a trainer's output folder, a dlm store.
        adapter: folder of the adapter; None where it has none (a full fine-tune).
        named: whether the user named the place; only then any ``*.jsonl`` in it is taken as a log.

    Raises:
        AmbiguousRunError: the folder holds files of several runs.
        TrainingDataError: ``trainer_state.json`` cannot be read.
    """
    if place.is_file():
        return LogSource((place,))
    jsonl = find_log_files(place)
    if jsonl and jsonl[0].match(f"{LOGS}/train-*"):
        return LogSource(tuple(jsonl))
    step = checkpoint_step(place)
    source = _output_log(place, adapter or place) if step is None else _checkpoint_log(place, step)
    return source or _torchtune_log(place) or (LogSource(tuple(jsonl)) if jsonl and named else None)


def _checkpoint_log(folder: Path, step: int, reason: str = "") -> LogSource | None:
    """The log of the run that saved a checkpoint: its own, or the output folder's up to its step."""
    own = folder / TRAINER_STATE
    if own.is_file():
        check_step(own, read_trainer_state(own), step)
        return LogSource((own,), step, reason)
    above = folder.resolve().parent
    state = above / TRAINER_STATE
    if state.is_file() and (read_trainer_state(state).global_step or 0) >= step:
        return LogSource((state,), step, f"up to step {step}")
    log = above / TRAINER_LOG
    return LogSource((log,), step, f"up to step {step}") if log.is_file() else None


def _output_log(folder: Path, adapter: Path) -> LogSource | None:
    """The log in a trainer's output folder."""
    saved = [one for one in checkpoints(folder, adapter) if one.possible]
    if saved and saved[0].same_weights:
        return _checkpoint_log(saved[0].folder, saved[0].step, saved[0].relation)
    state = folder / TRAINER_STATE
    if state.is_file():
        _check_age(state, saved)
        return LogSource((state,))
    if (log := folder / TRAINER_LOG).is_file():
        return LogSource((log,))
    logged = next((one for one in saved if (one.folder / TRAINER_STATE).is_file()), None)
    return None if logged is None else _checkpoint_log(logged.folder, logged.step, logged.relation)


def _check_age(state: Path, saved: list[TrainerCheckpoint]) -> None:
    """Refuse a ``trainer_state.json`` that is older than a checkpoint beside it."""
    step = read_trainer_state(state).global_step
    last = max((one.step for one in saved), default=0)
    if step is not None and step < last:
        raise AmbiguousRunError(
            f"cannot tell which run trained the adapter: {state} was written at step {step}, but the same "
            f"folder contains the later checkpoint-{last}"
        )


def _torchtune_log(place: Path) -> LogSource | None:
    """The log of torchtune: in ``logs`` of its output folder, whose ``epoch_N`` holds the adapter."""
    folder = place.resolve()
    part = _TORCHTUNE_FOLDER.fullmatch(folder.name) is not None
    roots = [folder, folder.parent] if part else [folder]
    files = [
        file for root in roots for where in (root / "logs", root) for file in sorted(where.glob("log_*.txt"))
    ]
    if not files:
        return None
    reasons = [f"the last of {len(files)} logs found"] if len(files) > 1 else []
    if part and _has_later_folder(folder):
        reasons.append(f"which covers the whole run, including the steps after {folder.name}")
    return LogSource((max(files, key=lambda file: file.name),), None, ", ".join(reasons))


def _has_later_folder(folder: Path) -> bool:
    """Whether a later epoch's or step's folder stands beside this one."""
    kind, _, number = folder.name.partition("_")
    others = (path.name.removeprefix(f"{kind}_") for path in folder.parent.glob(f"{kind}_*"))
    return any(other.isdecimal() and int(other) > int(number) for other in others)

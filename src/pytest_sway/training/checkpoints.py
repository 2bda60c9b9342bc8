"""Checkpoints of a trainer's output folder, and which of them an adapter is. Standard library only."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.training.adapter_weights import WEIGHTS_FILE, key_shapes
from pytest_sway.training.errors import TrainingDataError

_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})", re.ASCII)


@dataclass(frozen=True)
class TrainerCheckpoint:
    """A folder ``checkpoint-N`` that Trainer saved.

    Attributes:
        folder: where it is.
        step: N.
        same_weights: whether its adapter's file is that of the adapter asked about; None where one of the
            two has no adapter file.
        same_shapes: whether the two have the same tensors, by name and shape; None as above.
    """

    folder: Path
    step: int
    same_weights: bool | None = None
    same_shapes: bool | None = None

    @property
    def possible(self) -> bool:
        """Whether the adapter can have come out of this checkpoint's run."""
        return self.same_shapes is not False

    @property
    def relation(self) -> str:
        """How the checkpoint stands to the adapter, as a part of a sentence."""
        if self.same_weights:
            return "the checkpoint with the adapter's weights"
        if self.same_weights is None:
            return "the last checkpoint, whose weights cannot be compared with those of the adapter"
        return (
            "the last checkpoint; its weights differ from the adapter's: it is from a different step or run"
        )


def checkpoint_step(folder: Path) -> int | None:
    """N of a folder that is called ``checkpoint-N``; None for another name."""
    match = _CHECKPOINT.fullmatch(folder.name) or _CHECKPOINT.fullmatch(folder.resolve().name)
    return int(match[1]) if match else None


def checkpoints(folder: Path, adapter: Path) -> list[TrainerCheckpoint]:
    """The checkpoints in a folder, best match first.

    Those whose weights are the adapter's come first, then those with the same tensors, then the others; the
    highest step first among equals.

    Args:
        folder: the trainer's output folder.
        adapter: folder of the adapter that the checkpoints are compared with.
    """
    mine = adapter / WEIGHTS_FILE
    saved = []
    for path in _folders(folder):
        if (step := checkpoint_step(path)) is not None:
            theirs = path / WEIGHTS_FILE
            content = _compare_files(mine, theirs, _same_content)
            shapes = _compare_files(mine, theirs, _same_shapes)
            saved.append(TrainerCheckpoint(path, step, content, shapes))
    return sorted(saved, key=lambda one: (one.same_weights is True, one.possible, one.step), reverse=True)


def other_adapters(folder: Path) -> list[str]:
    """The checkpoints in an adapter's folder that hold other tensors than the adapter, with that reason."""
    others = [one for one in checkpoints(folder, folder) if not one.possible]
    return [f"{one.folder.name} (its adapter has different tensors)" for one in others]


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step; None without one."""
    saved = [(step, path) for path in _folders(folder) if (step := checkpoint_step(path)) is not None]
    return max(saved)[1] if saved else None


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _compare_files(mine: Path, theirs: Path, equal: Callable[[Path, Path], bool]) -> bool | None:
    """Whether two files are equal; None where one is missing or cannot be read."""
    if not all(os.path.isfile(file) for file in (mine, theirs)):  # noqa: PTH113 - unlike Path.is_file it never raises
        return None
    try:
        return equal(mine, theirs)
    except (OSError, TrainingDataError):
        return None


def _same_content(mine: Path, theirs: Path) -> bool:
    return filecmp.cmp(mine, theirs, shallow=False)


def _same_shapes(mine: Path, theirs: Path) -> bool:
    return key_shapes(mine) == key_shapes(theirs)

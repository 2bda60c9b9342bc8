"""Reads a sample of a training file, or of one that was held out."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.data_rows import read_rows
from pytest_sway.spec_generation.row_sample import MOST_ROW_CHARS, RowSample, sample_rows
from pytest_sway.spec_generation.training_sample import TrainingSample


def read_training_sample(path: Path, most: int, seed: int, longest: int = MOST_ROW_CHARS) -> TrainingSample:
    """At most ``most`` rows of a file, dialogues of at most ``longest`` characters.

    Raises:
        DataError: it cannot be read, or none of its rows can be asked.
    """
    rows = sample_rows(read_rows(path), most, seed, longest=longest)
    sample = TrainingSample(_usable(path, rows))
    if not sample.prompts() and sample.unusable_tool_rows:
        raise DataError(
            f"{path}: no row can be used, because every row calls several tools at once or an undefined tool"
        )
    if not sample.prompts():
        raise DataError(f"{path}: the texts are too short; at least one sentence of four words is needed")
    return sample


def read_held_out_sample(
    path: Path, most: int, seed: int, trained: RowSample, longest: int = MOST_ROW_CHARS
) -> TrainingSample:
    """At most ``most`` rows of a file of which nothing is among the trained ones.

    Raises:
        DataError: it cannot be read, or none of its rows is held out and can be asked.
    """
    found = sample_rows(read_rows(path, held_out=True), most, seed, trained.keys, longest)
    if found.shared and not found.examples:
        raise DataError(f"{path}: every row is also in the training data, so nothing is held out")
    return TrainingSample(_usable(path, found))


def _usable(path: Path, found: RowSample) -> RowSample:
    if not found.total:
        raise DataError(f"{path}: the file has no rows")
    if not found.examples:
        first = found.unreadable[0]
        raise DataError(f"{path}: none of {found.total} rows is supported; the first problem: {first}")
    return found

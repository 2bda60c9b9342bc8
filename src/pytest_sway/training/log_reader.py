"""Reads training logs of every known format; the format is recognised by the content.

- dlm: ``train-*.jsonl`` (:mod:`pytest_sway.training.dlm_log`)
- Trainer: ``trainer_state.json``, and ``trainer_log.jsonl`` (:mod:`pytest_sway.training.trainer_log`)
- torchtune: ``log_*.txt`` (:mod:`pytest_sway.training.torchtune_log`)

Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.dlm.store import LOGS
from pytest_sway.training.dlm_log import add_run, dlm_runs, is_dlm_log
from pytest_sway.training.json_files import first_keys, parse_json, parse_json_lines, read_log_bytes
from pytest_sway.training.torchtune_log import is_torchtune_log, torchtune_records
from pytest_sway.training.trainer_log import trainer_runs, trainer_state
from pytest_sway.training.training_run import TrainingRun

DLM, TRAINER, TORCHTUNE = "dlm", "Trainer", "torchtune"


@dataclass(frozen=True)
class Logs:
    """All runs of some files, in order of file names.

    Attributes:
        runs: those with a step or an end.
        files: how many files were read.
        unread: how many lines or records could not be read (a crash cuts the last one short).
        formats: of the files, each once.
        keys: of the first record of a file in which no run was found.
    """

    runs: tuple[TrainingRun, ...]
    files: int
    unread: int
    formats: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class _FileLog:
    """What one file holds."""

    runs: list[TrainingRun]
    unread: int
    format: str
    keys: tuple[str, ...] = ()


def find_log_files(place: Path) -> list[Path]:
    """The logs of a store, of a folder of logs, or the one file; empty where there are none."""
    if place.is_file():
        return [place]
    folder = place / LOGS if (place / LOGS).is_dir() else place
    return sorted(folder.glob("train-*.jsonl")) or sorted(folder.glob("*.jsonl"))


def read_logs(files: Iterable[Path]) -> Logs:
    """Every run of the files.

    Raises:
        TrainingDataError: a file cannot be read, or is no training log.
    """
    runs: list[TrainingRun] = []
    read = [_read(file) for file in files]
    for log in read:
        for run in log.runs:
            add_run(runs, run)
    return Logs(
        tuple(run for run in runs if run.steps or run.adapter_version is not None),
        len(read),
        sum(log.unread for log in read),
        tuple(dict.fromkeys(log.format for log in read)),
        next((log.keys for log in read if log.keys), ()),
    )


def _read(file: Path) -> _FileLog:
    content = read_log_bytes(file)
    if is_torchtune_log(content):
        runs, bad = trainer_runs(file.name, torchtune_records(content))
        return _FileLog(runs, bad, TORCHTUNE)
    if file.suffix == ".json" and not _has_a_record_a_line(content):
        state = trainer_state(file, parse_json(file, content))
        runs, bad = trainer_runs(file.name, state.history, state.global_step)
        return _FileLog(runs, bad, TRAINER, _keys(runs, state.history))
    records, cut = parse_json_lines(file, content)
    if is_dlm_log(records):
        return _FileLog(dlm_runs(file.name, records), cut, DLM)
    runs, bad = trainer_runs(file.name, records)
    return _FileLog(runs, cut + bad, TRAINER, _keys(runs, records))


def _has_a_record_a_line(content: bytes) -> bool:
    """Whether the first line is an object of its own, and another line follows."""
    first, _, rest = content.strip().partition(b"\n")
    try:
        return bool(rest) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _keys(runs: Iterable[TrainingRun], records: Iterable[Any]) -> tuple[str, ...]:
    if any(run.steps for run in runs):
        return ()
    return next((first_keys(record) for record in records if isinstance(record, dict)), ())

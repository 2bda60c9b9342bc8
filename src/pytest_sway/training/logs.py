"""Reads training logs, ``train-*.jsonl``: one JSON object a line, as dlm's trainer writes them.

Losses of different runs are not comparable, so they are told apart: every file is a run, and so is what
follows a banner, or a step number that starts again. A preference phase (``dpo_phase_start``) has a loss of
another kind and is a run of its own. Standard library only.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_sway.training.store import LOGS, TrainingDataError

_PHASE_START = "_phase_start"


@dataclass(frozen=True)
class Run:
    """One run of a trainer.

    Attributes:
        file: name of its log.
        run_id: the trainer's number of it.
        phase: ``sft``, or the preference method (``dpo``, ``orpo``).
        steps: numbers of the logged steps, rising.
        losses: one per step, in nats; NaN where it was no finite number.
        validation: step and validation loss, where one was logged.
        adapter_version: what it made; None for a run that did not finish.
        reference: the version that a preference phase went on from.
        length: optimizer steps, logged or not.
    """

    file: str
    run_id: int | None = None
    phase: str = "sft"
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    adapter_version: int | None = None
    reference: int | None = None
    length: int = 0


@dataclass(frozen=True)
class Logs:
    """All runs of a store, in order of file names.

    Attributes:
        runs: those with a step or an end.
        files: how many files were read.
        unread: how many lines were no JSON (a crash cuts the last one short).
    """

    runs: tuple[Run, ...]
    files: int
    unread: int


def log_files(place: Path) -> list[Path]:
    """The logs of a store, of a folder of logs, or the one file; empty where there are none."""
    if place.is_file():
        return [place]
    folder = place / LOGS if (place / LOGS).is_dir() else place
    return sorted(folder.glob("train-*.jsonl")) or sorted(folder.glob("*.jsonl"))


def read_logs(files: Iterable[Path]) -> Logs:
    """Every run of the files.

    Raises:
        TrainingDataError: a file cannot be read, or its first line is no JSON.
    """
    runs: list[Run] = []
    count = unread = 0
    for file in files:
        records, bad = _records(file)
        for run in _runs(file.name, records):
            _add(runs, run)
        count, unread = count + 1, unread + bad
    return Logs(tuple(run for run in runs if run.steps or run.adapter_version is not None), count, unread)


def _records(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a file, and how many of its lines are no JSON."""
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise TrainingDataError(f"{file} cannot be read: {error.strerror}") from None
    records, bad, first = [], 0, True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            if first:
                what = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "is no JSON"
                text = f"{file}:{number}: the first line {what}; a training log holds one JSON object a line"
                raise TrainingDataError(text) from None
            bad += 1
        else:
            records += [value] if isinstance(value, dict) else []
        first = False
    return records, bad


@dataclass
class _Open:
    """A run that is being read."""

    start: Run
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    end: Mapping[str, Any] = field(default_factory=dict)

    def add(self, step: int, record: Mapping[str, Any]) -> None:
        """One step; a repeated number replaces what was logged from it on."""
        kept = bisect_left(self.steps, step)
        self.validation = [pair for pair in self.validation if pair[0] <= step]
        if "loss" in record:
            del self.steps[kept:], self.losses[kept:]
            self.steps.append(step)
            self.losses.append(_number(record["loss"]))
        if record.get("val_loss") is not None:
            self.validation = [
                *(p for p in self.validation if p[0] < step),
                (step, _number(record["val_loss"])),
            ]

    def starts_again(self, step: int) -> bool:
        """Whether this step number is no continuation: not beyond the first of several."""
        return len(self.steps) > 1 and step <= self.steps[0]

    def closed(self) -> Run:
        """As it was read."""
        last = self.steps[-1] if self.steps else 0
        return replace(
            self.start,
            steps=tuple(self.steps),
            losses=tuple(self.losses),
            validation=tuple(self.validation),
            adapter_version=_whole(self.end.get("adapter_version")),
            length=_whole(self.end.get("steps")) or last,
        )


def _runs(file: str, records: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The runs of one file."""
    runs = [_Open(Run(file))]
    for record in records:
        kind, now = record.get("type"), runs[-1]
        if kind == "banner":
            runs.append(_Open(Run(file, _whole(record.get("run_id")))))
        elif isinstance(kind, str) and kind.endswith(_PHASE_START):
            phase, reference = (
                kind.removesuffix(_PHASE_START),
                _whole(record.get("reference_adapter_version")),
            )
            runs.append(_Open(Run(file, now.start.run_id, phase, reference=reference)))
        elif kind == "step" and (step := _whole(record.get("step"))) is not None:
            if "loss" in record and now.starts_again(step):
                now = _Open(now.start)
                runs.append(now)
            now.add(step, record)
        elif kind == "run_complete":
            now.end = record
    return [run.closed() for run in runs]


def _add(runs: list[Run], run: Run) -> None:
    """Append a run, or continue the one of its id that it resumed: it starts beyond that one's start."""
    for index, earlier in enumerate(runs):
        same = run.run_id is not None and (earlier.run_id, earlier.phase) == (run.run_id, run.phase)
        if same and earlier.steps and run.steps and run.steps[0] > earlier.steps[0]:
            kept = bisect_left(earlier.steps, run.steps[0])
            before = (pair for pair in earlier.validation if pair[0] < run.steps[0])
            runs[index] = replace(
                run,
                steps=earlier.steps[:kept] + run.steps,
                losses=earlier.losses[:kept] + run.losses,
                validation=(*before, *run.validation),
                reference=earlier.reference,
            )
            return
    runs.append(run)


def _number(value: Any) -> float:
    """A loss; NaN for what is no finite number."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _whole(value: Any) -> int | None:
    """A count or a version; None for what is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

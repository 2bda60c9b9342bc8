"""dlm's training log: one JSON object a line, each with a ``type``.

Losses of different runs are not comparable, so they are kept separate: every file is a run, and so is what
follows a banner, or a step number that starts again. A preference phase (``dpo_phase_start``) has a loss of
another kind and is a run of its own. Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pytest_sway.training.json_files import logged_number, whole_number
from pytest_sway.training.training_run import RunBuilder, TrainingRun

_PHASE_START = "_phase_start"
_TYPES = frozenset({"banner", "step", "run_complete"})


def is_dlm_log(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the records has a type that dlm writes."""
    kinds = (record.get("type") for record in records)
    return any(isinstance(kind, str) and (kind in _TYPES or kind.endswith(_PHASE_START)) for kind in kinds)


def dlm_runs(file: str, records: Iterable[Mapping[str, Any]]) -> list[TrainingRun]:
    """The runs of one file, in their order."""
    builders = [RunBuilder(TrainingRun(file))]
    for record in records:
        kind, builder = record.get("type"), builders[-1]
        if kind == "banner":
            builders.append(RunBuilder(TrainingRun(file, whole_number(record.get("run_id")))))
        elif isinstance(kind, str) and kind.endswith(_PHASE_START):
            phase = kind.removesuffix(_PHASE_START)
            reference = whole_number(record.get("reference_adapter_version"))
            builders.append(RunBuilder(TrainingRun(file, builder.start.run_id, phase, reference=reference)))
        elif kind == "step" and (step := whole_number(record.get("step"))) is not None:
            if "loss" in record and builder.starts_again(step):
                builder = RunBuilder(builder.start)
                builders.append(builder)
            builder.add(step, record)
            if "loss" in record:
                norm = record.get("grad_norm")  # null where none was measured
                builder.norms[step] = None if norm is None else logged_number(norm)
        elif kind == "run_complete":
            builder.end = record
    return [builder.build() for builder in builders]


def add_run(runs: list[TrainingRun], run: TrainingRun) -> None:
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
                gradient_norms=_joined_norms(earlier, kept, run),
                reference=earlier.reference,
            )
            return
    runs.append(run)


def _joined_norms(earlier: TrainingRun, kept: int, run: TrainingRun) -> tuple[float | None, ...]:
    """The gradient norms of a run's first steps and of those that it resumed with; empty where none is."""
    if not (earlier.gradient_norms or run.gradient_norms):
        return ()
    before = earlier.gradient_norms[:kept] or (None,) * kept
    return before + (run.gradient_norms or (None,) * len(run.steps))

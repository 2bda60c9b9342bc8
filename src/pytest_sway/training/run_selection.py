"""Which of the runs in some logs made an adapter. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.dlm.store import DlmVersion
from pytest_sway.training.dlm_runs import runs_of_adapter
from pytest_sway.training.errors import AmbiguousRunError, TooFewStepsError
from pytest_sway.training.gradient_norms import gradient_norms
from pytest_sway.training.log_discovery import LogSource
from pytest_sway.training.log_reader import Logs
from pytest_sway.training.training_run import TrainingRun


@dataclass(frozen=True)
class ChosenRun:
    """The run to judge, and the reason for the choice, as a part of a sentence."""

    run: TrainingRun
    reason: str


def select_dlm_run(runs: Sequence[TrainingRun], version: DlmVersion | None, least: int) -> ChosenRun:
    """The run of a dlm store that made a version, else the last one that is long enough.

    Raises:
        AmbiguousRunError: several runs made the version.
        TooFewStepsError: none logged ``least`` steps.
    """
    if version is not None:
        made = [run for run in runs_of_adapter(version, runs) if run.adapter_version == version.number]
        if version.adapter and len(made) > 1:
            text = f"{len(made)} runs created a version v{version.number:04d}"
            raise AmbiguousRunError(
                f"cannot tell which run trained the adapter {version.adapter}: {text}, and no manifest.json "
                "names the run"
            )
        if made and len(made[-1].steps) < least:
            count = len(made[-1].steps)
            raise TooFewStepsError(
                f"the run that created {version.label} logged {count} steps, but min_steps is {least}"
            )
        if made:
            return ChosenRun(made[-1], f"the run that created {version.label}")
    enough = [run for run in runs if len(run.steps) >= least]
    if not enough:
        longest = max((len(run.steps) for run in runs), default=0)
        raise TooFewStepsError(f"the longest run logged {longest} steps, but min_steps is {least}")
    unknown = f", because no log says which run created {version.label}" if version is not None else ""
    return ChosenRun(enough[-1], f"the last run{unknown}")


def select_trainer_run(logs: Logs, source: LogSource) -> ChosenRun:
    """The last run of a trainer's log, as far as the adapter's step: earlier ones made other adapters.

    Raises:
        AmbiguousRunError: it ended before the adapter's step.
        TooFewStepsError: no loss is logged.
    """
    if not logs.runs:
        keys = f"; the records have the keys {', '.join(logs.keys)}" if logs.keys else ""
        raise TooFewStepsError(f"the log has no step with a loss{keys}")
    run = logs.runs[-1]
    reason = "the only run" if len(logs.runs) == 1 else f"the last of {len(logs.runs)} runs"
    if source.until is None:
        return ChosenRun(run, reason)
    gap = run.steps[-1] - run.steps[-2] if len(run.steps) > 1 else run.steps[-1]
    if max(run.length, run.steps[-1] + gap) < source.until:
        raise AmbiguousRunError(
            f"{source.files[-1]} ends at step {run.steps[-1]}, but the adapter is from step {source.until}, "
            "so the log is truncated or belongs to another run"
        )
    return ChosenRun(run.until(source.until), reason)


def ends_broken(run: TrainingRun) -> bool:
    """Whether a run ends in NaN, which few steps are enough to see."""
    lost = bool(run.losses) and not math.isfinite(run.losses[-1])
    return lost or gradient_norms(run).broken

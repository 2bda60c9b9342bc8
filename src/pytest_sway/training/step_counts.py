"""How many optimizer steps an adapter got, from all the files that say so. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_sway.dlm.store import DlmVersion, version_of
from pytest_sway.training.dlm_runs import runs_of_adapter
from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.log_reader import find_log_files, read_logs
from pytest_sway.training.optimizer_discovery import OptimizerFile
from pytest_sway.training.optimizer_state import TrainingState
from pytest_sway.training.trainer_log import TRAINER_STATE


@dataclass(frozen=True)
class OptimizerSteps:
    """Optimizer steps behind an adapter.

    Attributes:
        last_run: of the run that made it.
        certain: those that were certainly made for it.
        possible: those that may have been.
        runs: how many runs ``possible`` counts.
        source: where the steps were read from.
        global_step: the trainer's count.
        doubt: why ``certain`` and ``possible`` differ, where it is not that runs may have gone on.
    """

    last_run: int
    certain: int
    possible: int
    runs: int
    source: str = "training logs"
    global_step: int | None = None
    doubt: str = ""


def optimizer_steps(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """Count the steps behind an adapter.

    Raises:
        TrainingDataError: no file has a count.
    """
    return _dlm_steps(found, state) if found.dlm else _trainer_steps(found, state)


def _dlm_steps(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """Counts of dlm: the optimizer's and, in a store, those of the logs."""
    counts = {"optimizer": state.optimizer_steps, "global_step": state.global_step}
    source, own = next(((name, n) for name, n in counts.items() if n is not None), ("", 0))
    logged, unread = None, ""
    if (version := version_of(found.path.parent)) is not None:
        try:
            logged = steps_in_store(version)
        except TrainingDataError:
            unread = "; the logs cannot be read"
    if logged is not None:
        certain, possible = max(own, logged.certain), max(own, logged.possible)
        return replace(logged, certain=certain, possible=possible, global_step=state.global_step)
    if not source:
        raise TrainingDataError(f"{found.path} contains neither global_step nor an optimizer step count")
    return OptimizerSteps(own, own, own, 1, source + unread, state.global_step)


def steps_in_store(version: DlmVersion) -> OptimizerSteps | None:
    """The steps in the store's logs; None where they do not name this version.

    Certain are those of the run that made it, and of the runs that it is known to have gone on from; possible
    are those of every run up to this version, since a plain run's log does not say whether it went on from
    the version before or began anew.

    Raises:
        TrainingDataError: a log cannot be read.
    """
    runs = {
        run.adapter_version: run
        for run in runs_of_adapter(version, read_logs(find_log_files(version.store)).runs)
        if run.adapter_version is not None and run.adapter_version <= version.number
    }
    if version.number not in runs:
        return None
    last = runs[version.number]
    certain, run = last.length, last
    while run.reference in runs and run.reference < (run.adapter_version or 0):
        run = runs[run.reference]
        certain += run.length
    return OptimizerSteps(last.length, certain, sum(run.length for run in runs.values()), len(runs))


def _trainer_steps(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """Counts of a trainer: its own and the optimizer's, which is lower after a restart of the optimizer."""
    logged = found.trainer.global_step if found.trainer is not None else None
    source = TRAINER_STATE if logged is not None else "the folder's name"
    total = logged if logged is not None else found.saved_at
    own = state.optimizer_steps
    if own is None and total is None:
        raise TrainingDataError(
            f"neither {found.path} nor a {TRAINER_STATE} in the same folder contains a step count"
        )
    if own is None or total is None or own == total:
        steps = total if own is None else own
        assert steps is not None
        return OptimizerSteps(steps, steps, steps, 1, source if own is None else "optimizer", logged)
    other = f"{own} according to the optimizer"
    doubt = (
        f"{total} steps according to {source}, but {other}; the optimizer was reset in between, or the two "
        "files come from different runs"
    )
    return OptimizerSteps(own, own, max(own, total), 1, f"{source}; {other}", logged, doubt)

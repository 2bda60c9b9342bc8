"""How many optimizer steps an adapter got, from all the files that tell. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.training.logged_steps import logged_steps
from pytest_sway.training.optimizer_files import OptimizerFile
from pytest_sway.training.optimizer_state import TrainingState
from pytest_sway.training.run_versions import TrainingDataError, version_of
from pytest_sway.training.trainer_logs import TRAINER_STATE


@dataclass(frozen=True)
class OptimizerSteps:
    """Optimizer steps behind an adapter.

    Attributes:
        last_run: of the run that made it.
        certain: those that were certainly made for it.
        possible: those that may have been.
        runs: how many runs ``possible`` counts.
        source: where the steps were read.
        global_step: the trainer's count.
        doubt: why ``certain`` and ``possible`` differ, where it is not that runs may have gone on.
    """

    last_run: int
    certain: int
    possible: int
    runs: int
    source: str
    global_step: int | None
    doubt: str = ""


def optimizer_steps(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """Count the steps behind an adapter.

    Raises:
        TrainingDataError: no file tells.
    """
    return _in_store(found, state) if found.dlm else _of_trainer(found, state)


def _in_store(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """By the optimizer and, in a dlm store, by the logs of its runs."""
    counts = {"optimizer": state.optimizer_steps, "global_step": state.global_step}
    source, own = next(((name, n) for name, n in counts.items() if n is not None), ("", 0))
    logged, unread = None, ""
    if (version := version_of(found.path.parent)) is not None:
        try:
            logged = logged_steps(version)
        except TrainingDataError:
            unread = "; the logs cannot be read"
    if logged is not None:
        certain, possible = max(own, logged.certain), max(own, logged.possible)
        return OptimizerSteps(
            logged.last_run, certain, possible, logged.runs, "training logs", state.global_step
        )
    if not source:
        raise TrainingDataError(f"{found.path} holds neither a global_step nor an optimizer's steps")
    return OptimizerSteps(own, own, own, 1, source + unread, state.global_step)


def _of_trainer(found: OptimizerFile, state: TrainingState) -> OptimizerSteps:
    """By the optimizer's own count and the trainer's, which a restarted optimizer's is below."""
    logged = found.trainer.global_step if found.trainer is not None else None
    source = TRAINER_STATE if logged is not None else "the folder's name"
    total = logged if logged is not None else found.saved_at
    own = state.optimizer_steps
    if own is None and total is None:
        raise TrainingDataError(
            f"{found.path}: no count of steps, neither in it nor in a {TRAINER_STATE} beside it"
        )
    if own is None or total is None or own == total:
        steps = total if own is None else own
        assert steps is not None
        return OptimizerSteps(steps, steps, steps, 1, source if own is None else "optimizer", logged)
    other = f"{own} by the optimizer's own count"
    doubt = (
        f"{total} steps by {source}, {other}: the optimizer began anew in between, or the two files are of "
        "different runs"
    )
    return OptimizerSteps(own, own, max(own, total), 1, f"{source}; {other}", logged, doubt)

"""How many optimizer steps an adapter got. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.training.log_files import log_files, read_logs
from pytest_sway.training.run_versions import Version, adapters_of_runs
from pytest_sway.training.training_run import TrainingRun


@dataclass(frozen=True)
class Steps:
    """Optimizer steps behind a version.

    Attributes:
        last_run: of the run that made it.
        certain: of that run, and of those that it is known to have gone on from.
        possible: of every run up to this version; a plain run's log does not say whether it went on from
            the version before or began anew.
        runs: how many runs ``possible`` counts.
    """

    last_run: int
    certain: int
    possible: int
    runs: int


def logged_steps(version: Version) -> Steps | None:
    """The steps that the store's logs tell; None where they do not tell of this version.

    Raises:
        TrainingDataError: a log cannot be read.
    """
    made = {
        run.adapter_version: run
        for run in runs_of(version, read_logs(log_files(version.store)).runs)
        if run.adapter_version is not None and run.adapter_version <= version.number
    }
    if version.number not in made:
        return None
    last = made[version.number]
    chain, reached = last.length, last
    while reached.reference in made and reached.reference < (reached.adapter_version or 0):
        reached = made[reached.reference]
        chain += reached.length
    return Steps(last.length, chain, sum(run.length for run in made.values()), len(made))


def runs_of(version: Version, runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """The runs that may have trained this adapter: the manifest tells those of other named adapters."""
    adapters = adapters_of_runs(version.store)
    return [run for run in runs if adapters.get(run.run_id or -1, version.adapter) == version.adapter]

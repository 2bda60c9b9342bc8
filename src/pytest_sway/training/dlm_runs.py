"""Which runs of a dlm store may have trained a version of an adapter."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.dlm.store import DlmVersion, adapters_of_runs
from pytest_sway.training.training_run import TrainingRun


def runs_of_adapter(version: DlmVersion, runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """The runs that may have trained this adapter: all but those of another one by the manifest."""
    adapters = adapters_of_runs(version.store)
    return [run for run in runs if adapters.get(run.run_id or -1, version.adapter) == version.adapter]

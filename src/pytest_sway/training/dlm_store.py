"""dlm stores: which version an adapter's folder is, and which runs trained it. Standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.training.training_run import TrainingRun

LOGS = "logs"


@dataclass(frozen=True)
class DlmVersion:
    """One version of an adapter in a dlm store.

    Attributes:
        store: the store's folder.
        adapter: its name in a document with several adapters; empty in one with a single adapter.
        number: NNNN of ``vNNNN``.
    """

    store: Path
    adapter: str
    number: int

    @property
    def label(self) -> str:
        """As its folder is called, after the adapter's name."""
        return f"{self.adapter}/v{self.number:04d}" if self.adapter else f"v{self.number:04d}"


def version_of(adapter: Path) -> DlmVersion | None:
    """The version that a folder is: ``STORE/adapter/[NAME/]versions/vNNNN``; None where it is none."""
    folder = adapter.resolve()
    match = re.fullmatch(r"v(\d+)", folder.name, re.ASCII)
    if match is None or folder.parent.name != "versions":
        return None
    above = folder.parent.parent
    if above.name == "adapter":
        return DlmVersion(above.parent, "", int(match[1]))
    if above.parent.name == "adapter":
        return DlmVersion(above.parent.parent, above.name, int(match[1]))
    return None


def adapters_of_runs(store: Path) -> dict[int, str]:
    """Which named adapter each run trained, by run id; a run that the manifest does not name is absent."""
    try:
        manifest = json.loads((store / "manifest.json").read_bytes())
        runs = manifest["training_runs"]
        return {
            run["run_id"]: run["adapter_name"] for run in runs if isinstance(run.get("adapter_name"), str)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def runs_of_adapter(version: DlmVersion, runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """The runs that may have trained this adapter: all but those of another one by the manifest."""
    adapters = adapters_of_runs(version.store)
    return [run for run in runs if adapters.get(run.run_id or -1, version.adapter) == version.adapter]

"""A dlm store's folders and steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sway.dlm.store import DlmVersion, adapters_of_runs, version_of
from pytest_sway.training.step_counts import OptimizerSteps, steps_in_store
from tests.support.dlm_training import complete, log, run, step


@pytest.mark.parametrize(
    ("folder", "adapter", "number", "label"),
    [
        ("adapter/versions/v0003", "", 3, "v0003"),
        ("adapter/tone/versions/v0012", "tone", 12, "tone/v0012"),
        ("adapter/versions/v12345", "", 12345, "v12345"),
    ],
)
def test_a_version(tmp_path: Path, folder: str, adapter: str, number: int, label: str) -> None:
    found = version_of(tmp_path / folder)
    assert found == DlmVersion(tmp_path.resolve(), adapter, number)
    assert found.label == label


@pytest.mark.parametrize(
    "folder",
    [
        "adapter/versions/v0003-rejected",
        "adapter/versions/v٣",
        "versions/v0001",
        "adapter/v0001",
        "adapters/good",
    ],
)
def test_no_version(tmp_path: Path, folder: str) -> None:
    assert version_of(tmp_path / folder) is None


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "adapter/versions/v0001").mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "adapter/versions/v0001")
    found = version_of(tmp_path / "current")
    assert found is not None
    assert found.number == 1


def manifest(store: Path, **adapters: str | None) -> None:
    runs = [{"run_id": int(run[1:]), "adapter_name": name} for run, name in adapters.items()]
    (store / "manifest.json").write_text(json.dumps({"training_runs": runs}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"training_runs": 3}', '{"training_runs": [{}, 3]}', "[" * 10**5]
)
def test_a_manifest_that_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert adapters_of_runs(tmp_path) == {}


def test_the_runs_of_named_adapters(tmp_path: Path) -> None:
    manifest(tmp_path, r1="tone", r2=None)
    assert adapters_of_runs(tmp_path) == {1: "tone"}


def test_steps_are_summed_over_runs(tmp_path: Path) -> None:
    """Runs 1 and 2 made v1 and v2; a run that failed and one that came later count nothing."""
    log(tmp_path, 1, run([1.0] * 4, 1, version=1, steps=40))
    log(tmp_path, 2, run([1.0] * 9, 2))
    log(tmp_path, 3, run([1.0] * 3, 2, version=2, steps=30))
    log(tmp_path, 4, run([1.0] * 5, 3, version=3, steps=50))
    assert steps_in_store(DlmVersion(tmp_path, "", 2)) == OptimizerSteps(
        last_run=30, certain=30, possible=70, runs=2
    )
    assert steps_in_store(DlmVersion(tmp_path, "", 9)) is None


def test_a_preference_phase_goes_on_from_its_reference(tmp_path: Path) -> None:
    log(tmp_path, 1, run([1.0], 1, version=1, steps=100))
    log(tmp_path, 2, run([1.0], 2, version=2, steps=40))
    start = {"type": "dpo_phase_start", "reference_adapter_version": 2}
    log(tmp_path, 3, [{"type": "banner", "run_id": 3}, start, step(1, 0.7), complete(3, 3, 5)])
    assert steps_in_store(DlmVersion(tmp_path, "", 3)) == OptimizerSteps(
        last_run=5, certain=45, possible=145, runs=3
    )


def test_a_reference_to_itself_ends(tmp_path: Path) -> None:
    start = {"type": "dpo_phase_start", "reference_adapter_version": 1}
    log(tmp_path, 1, [{"type": "banner", "run_id": 1}, start, step(1, 0.7), complete(1, 1, 5)])
    assert steps_in_store(DlmVersion(tmp_path, "", 1)) == OptimizerSteps(5, 5, 5, 1)


def test_named_adapters_number_their_versions_alike(tmp_path: Path) -> None:
    log(tmp_path, 1, run([1.0], 1, version=1, steps=100))
    log(tmp_path, 2, run([1.0], 2, version=1, steps=7))
    manifest(tmp_path, r1="tone", r2="facts")
    assert steps_in_store(DlmVersion(tmp_path, "facts", 1)) == OptimizerSteps(7, 7, 7, 1)
    assert steps_in_store(DlmVersion(tmp_path, "tone", 1)) == OptimizerSteps(100, 100, 100, 1)

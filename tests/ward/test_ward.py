"""Adapters of known condition: every probe says of each what the person who made it would say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.probes.training_drift import TrainingDrift
from ward.battery import FIRST, QUICKSTART, WARD, read, spec
from ward.examined import Report, composite, examine, passed, probe, verdicts
from ward.truth import HEALTHY, TRUTH, contradictions, patients

BASE = QUICKSTART / "base"
ASK_NO_PATIENT = frozenset({"tool_use_fidelity", "gradient_ghost", "training_drift"})
"""Kinds with patients of their own, below."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """Every patient's report; 8 nulls, which is what calibration needs at least, since this runs in CI."""
    whole = spec(FIRST, BASE, runs=8)
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] not in ASK_NO_PATIENT]
    return examine(whole, patients(), tmp_path_factory.mktemp("ward"))


@pytest.mark.slow
@pytest.mark.parametrize("patient", TRUTH)
def test_no_verdict_contradicts_what_was_made(reports: dict[str, Report], patient: str) -> None:
    assert contradictions(patient, reports[patient]) == []


@pytest.mark.slow
def test_the_composites_stand_in_the_order_of_health(reports: dict[str, Report]) -> None:
    scores = {name: composite(report) for name, report in reports.items()}
    assert scores["healthy"] > scores["half"] > scores["mild"]
    assert min(scores[name] for name in HEALTHY) > 0.6
    for far_below in ("careless", "forgetter", "overscaled", "diverged", "leaker"):
        assert scores[far_below] < 0.1, far_below
    assert scores["memoriser"] < 0.6  # harmless by its making, it is caught by its verdicts
    for nothing in ("undertrained", "inert", "random", "random_small"):
        assert scores[nothing] < 0.05, nothing


@pytest.mark.slow
def test_a_patient_of_nan_is_an_error_throughout(tmp_path: Path) -> None:
    whole = spec(FIRST, BASE, runs=8)
    report = examine(whole, {"overflowed": WARD / "adapters/overflowed"}, tmp_path)["overflowed"]
    asked = {name: told for name, told in verdicts(report).items() if name not in ASK_NO_PATIENT}
    assert set(asked.values()) == {"error"}
    assert not passed(report)


@pytest.mark.slow
def test_tools(tmp_path: Path) -> None:
    """On the base that calls tools: who stopped calling fails, who learned the document goes on."""
    base = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(BASE)
    merged: Any = PeftModel.from_pretrained(model, WARD / "adapters/tools").merge_and_unload()
    merged.save_pretrained(base)
    AutoTokenizer.from_pretrained(BASE).save_pretrained(base)
    whole = spec(FIRST, base)
    cases = read(WARD / "tools.yaml")
    whole["suite"] = [{"name": "tools", "kind": "tool_use_fidelity", "cases": cases}]
    names = ("tool_breaker", "tool_keeper")
    found = examine(whole, {name: WARD / "adapters" / name for name in names}, tmp_path)
    told = {name: probe(report, "tools") for name, report in found.items()}
    assert told["tool_breaker"]["verdict"] == "fail"
    assert told["tool_keeper"]["verdict"] == "pass"
    assert told["tool_keeper"]["evidence"]["json_valid_rate_base"] > 0.7
    assert {one["evidence"]["tools_shown_by"] for one in told.values()} == {"chat_template"}


@pytest.mark.parametrize(
    ("patient", "ghost", "drift"),
    [
        ("half", "pass", "pass"),
        ("undertrained", "fail", "skip"),
        ("diverged", "pass", "warn"),
        ("overflowed", "fail", "fail"),
    ],
)
def test_what_training_left_behind(tmp_path: Path, patient: str, ghost: str, drift: str) -> None:
    """In a dlm store, where both find it by the adapter alone.

    The loss of ``diverged`` rose on its first step and stayed, so its log shows no rise; its moments are
    finite.
    """
    version = tmp_path / "adapter/versions/v0001"
    shutil.copytree(WARD / "adapters" / patient, version)
    shutil.copy(WARD / "training" / patient / "training_state.pt", version)
    shutil.copytree(WARD / "training" / patient / "logs", tmp_path / "logs")
    setting = ProbeContext(folder=tmp_path, adapter=version)
    told = [run_probe(kind().with_context(setting), None).verdict for kind in (GradientGhost, TrainingDrift)]
    assert told == [ghost, drift]

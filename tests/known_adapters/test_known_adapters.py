"""Adapters of known condition: every probe says of each what the person who made it would say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.probes.training_drift import TrainingDrift
from tests.known_adapters.battery import FIRST, read, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed, probe, verdicts
from tests.known_adapters.expected_verdicts import EXPECTED, HEALTHY, adapter_folders, contradictions
from tests.support.merged_models import merge
from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

BASE = QUICKSTART / "base"
OWN_ADAPTERS = frozenset({"tool_use_fidelity", "gradient_ghost", "training_drift"})
"""Kinds with adapters of their own, below."""


OF_EVERY_SUBMISSION = (
    "healthy",
    "half",
    "undertrained",
    "random",
    "careless",
    "memoriser",
    "overscaled",
    "turn_decay",
)
"""One of each sort: sound, nothing, damaged, and learned in part. The lane ``nightly`` takes all of them."""
IN_ORDER = (("healthy", "half"), ("half", "mild"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(OF_EVERY_SUBMISSION, marks=pytest.mark.slow, id="some"),
        pytest.param(tuple(EXPECTED), marks=pytest.mark.nightly, id="all"),
    ],
)
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """A report an adapter; 8 nulls, which is what calibration needs at least, since this runs in CI."""
    whole = spec(FIRST, BASE, runs=8)
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] not in OWN_ADAPTERS]
    folders = {name: folder for name, folder in adapter_folders().items() if name in request.param}
    return evaluate(whole, folders, tmp_path_factory.mktemp("known"))


def test_no_verdict_contradicts_what_was_made(reports: dict[str, Report]) -> None:
    by_adapter = {name: contradictions(name, report) for name, report in reports.items()}
    assert {name: lines for name, lines in by_adapter.items() if lines} == {}


def test_the_composites_stand_in_the_order_of_health(reports: dict[str, Report]) -> None:
    scores = {name: composite(report) for name, report in reports.items()}
    for better, worse in IN_ORDER:
        if worse in scores:
            assert scores[better] > scores[worse]
    assert min(scores[name] for name in HEALTHY & scores.keys()) > 0.6
    assert scores["memoriser"] < 0.6  # harmless by its making, it is caught by its verdicts
    far_below = {"careless", "forgetter", "overscaled", "diverged", "leaker"} & scores.keys()
    nothing = {"undertrained", "inert", "random", "random_small"} & scores.keys()
    assert {name: scores[name] for name in far_below if scores[name] >= 0.1} == {}
    assert {name: scores[name] for name in nothing if scores[name] >= 0.05} == {}


@pytest.mark.slow
def test_an_adapter_of_nan_is_an_error_throughout(tmp_path: Path) -> None:
    whole = spec(FIRST, BASE, runs=8)
    report = evaluate(whole, {"overflowed": KNOWN_ADAPTERS / "adapters/overflowed"}, tmp_path)["overflowed"]
    asked = {name: told for name, told in verdicts(report).items() if name not in OWN_ADAPTERS}
    assert set(asked.values()) == {"error"}
    assert not passed(report)


@pytest.mark.slow
def test_tools(tmp_path: Path) -> None:
    """On the base that calls tools: who stopped calling fails, who learned the document goes on."""
    base = merge(BASE, KNOWN_ADAPTERS / "adapters/tools", tmp_path / "base")
    whole = spec(FIRST, base)
    cases = read(KNOWN_ADAPTERS / "tools.yaml")
    whole["suite"] = [{"name": "tools", "kind": "tool_use_fidelity", "cases": cases}]
    names = ("tool_breaker", "tool_keeper")
    found = evaluate(whole, {name: KNOWN_ADAPTERS / "adapters" / name for name in names}, tmp_path)
    told = {name: probe(report, "tools") for name, report in found.items()}
    assert told["tool_breaker"]["verdict"] == "fail"
    assert told["tool_keeper"]["verdict"] == "pass"
    assert told["tool_keeper"]["evidence"]["json_valid_rate_base"] > 0.7
    assert {one["evidence"]["tools_shown_by"] for one in told.values()} == {"chat_template"}


@pytest.mark.parametrize(
    ("adapter", "ghost", "drift"),
    [
        ("half", "pass", "pass"),
        ("undertrained", "warn", "skip"),
        ("diverged", "pass", "warn"),
        ("overflowed", "fail", "fail"),
    ],
)
def test_what_training_left_behind(tmp_path: Path, adapter: str, ghost: str, drift: str) -> None:
    """In a dlm store, where both find it by the adapter alone.

    The loss of ``diverged`` rose on its first step and stayed, so its log shows no rise; its moments are
    finite. Five steps are few, which is what is known of ``undertrained`` before a model is loaded.
    """
    version = tmp_path / "adapter/versions/v0001"
    shutil.copytree(KNOWN_ADAPTERS / "adapters" / adapter, version)
    shutil.copy(KNOWN_ADAPTERS / "training" / adapter / "training_state.pt", version)
    shutil.copytree(KNOWN_ADAPTERS / "training" / adapter / "logs", tmp_path / "logs")
    setting = ProbeContext(folder=tmp_path, adapter=version)
    told = [run_probe(kind().with_context(setting), None).verdict for kind in (GradientGhost, TrainingDrift)]
    assert told == [ghost, drift]

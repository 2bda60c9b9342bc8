"""training_drift on logs of runs whose course is known."""

from __future__ import annotations

import json
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import OptionsError, ProbeContext
from pytest_sway.probes.training_drift import TrainingDrift
from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.suites.json_conversion import to_json
from tests.support import fake_models
from tests.support.dlm_training import complete, log, run, save, step, train, write


def judged(place: Path, adapter: Path | None = None, **options: Any) -> ProbeResult:
    probe = TrainingDrift(store_path=str(place), **options)
    return run_probe(probe.with_context(ProbeContext(adapter=adapter)), None)


def falling(
    n: int = 300, noise: float = 0.2, seed: int = 0, high: float = 3.0, low: float = 0.8
) -> list[float]:
    level = low + (high - low) * np.exp(-np.arange(n) / (n / 6))
    draws = np.random.default_rng(seed).standard_t(4, size=n) / math.sqrt(2)
    return list(np.maximum(level * (1 + noise * draws), 0.01))


def test_a_healthy_noisy_run_passes(tmp_path: Path) -> None:
    losses = falling(1000)
    log(tmp_path, 1, run(losses, 1, version=1))
    found = judged(tmp_path)
    assert (found.verdict, found.score) == (Verdict.PASS, 1.0)
    assert found.raw == found.evidence["smoothness"]
    assert found.raw >= 0.9
    evidence = found.evidence
    assert (evidence["num_steps"], evidence["num_log_files"], evidence["instability_events"]) == (1000, 1, 0)
    assert evidence["initial_loss"] == pytest.approx(float(np.median(losses[:10])))
    assert evidence["final_loss"] == pytest.approx(float(np.median(losses[-100:])))
    assert evidence["convergence_ratio"] == pytest.approx(evidence["final_loss"] / evidence["initial_loss"])
    assert found.message.endswith("over 1000 logged steps, smoothness 1.00 (the last run)")
    assert (found.category, found.claim) == ("calibration", "pre_run")


def test_a_run_that_was_really_made(tmp_path: Path) -> None:
    log(tmp_path, 1, run(train(tmp_path, steps=150), 1, version=1))
    assert judged(tmp_path, assert_convergence_ratio_lte=0.95).verdict is Verdict.PASS


@pytest.mark.parametrize("n", [10, 511, 512, 513, 1500])
def test_the_sampled_curve(tmp_path: Path, n: int) -> None:
    losses = [float(v) for v in np.linspace(3, 1, n)]
    log(tmp_path, 1, run(losses))
    sampled = judged(tmp_path).evidence["curve_sampled"]
    assert len(sampled) == min(n, 512)
    assert sampled[0] == [1, losses[0]]
    assert sampled[-1] == [n, losses[-1]]
    gaps = {after[0] - before[0] for before, after in pairwise(sampled)}
    assert max(gaps) - min(gaps) <= 1


def spiked(at: int) -> list[float]:
    losses = falling(noise=0.1)
    return [3 * loss if at <= i < at + 3 else loss for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        (spiked(200), "1 jump (at most 0), spikes at step 201"),
        (
            falling(low=2.5),
            "of the initial loss (at most 0.7 allowed; a small fall is normal if the base model already",
        ),
        ([*falling(200), *np.linspace(0.8, 2.0, 100)], "smoothness 0."),
        (
            [math.nan if i == 50 else loss for i, loss in enumerate(falling())],
            "1 jump (at most 0)",
        ),
    ],
    ids=["spike", "too little", "turned", "one NaN"],
)
def test_a_secondary_signal_warns(tmp_path: Path, losses: list[float], says: str) -> None:
    log(tmp_path, 1, run(losses))
    found = judged(tmp_path)
    assert (found.verdict, found.score) == (Verdict.WARN, 0.5)
    assert says in found.message


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([*falling(), math.nan], "the last loss is NaN or infinite"),
        ([math.nan if i % 15 == 3 else loss for i, loss in enumerate(falling())], "20 of 300 losses are NaN"),
        ([math.nan] * 40, "40 of 40 losses are NaN or infinite"),
        (falling(high=1.0, low=2.0), "the loss diverged: loss 1"),
    ],
    ids=["ends", "many", "all", "diverged"],
)
def test_the_primary_signal_fails(tmp_path: Path, losses: list[float], says: str) -> None:
    log(tmp_path, 1, run(losses))
    found = judged(tmp_path)
    assert (found.verdict, found.score) == (Verdict.FAIL, 0.0)
    assert says in found.message
    json.dumps(to_json(found), allow_nan=False)


@pytest.mark.parametrize(
    ("held_out", "says"),
    [
        ([2.0, 1.0, 0.9, 1.2, 1.6], "the validation loss rose again, from 0.9 to 1.6"),
        ([2.0, math.nan], "1 validation"),
    ],
)
def test_the_validation_loss_is_looked_at(tmp_path: Path, held_out: list[float], says: str) -> None:
    records = run(falling(100))
    for i, value in enumerate(held_out):
        records[2 + 20 * i]["val_loss"] = value
    log(tmp_path, 1, records)
    found = judged(tmp_path)
    assert found.verdict is Verdict.WARN
    assert says in found.message


def test_thresholds_are_the_specs(tmp_path: Path) -> None:
    log(tmp_path, 1, run(spiked(200)))
    assert judged(tmp_path, assert_instability_events_lte=1).verdict is Verdict.PASS
    assert judged(tmp_path, spike_sigma=500.0).verdict is Verdict.PASS
    assert (
        judged(tmp_path, assert_instability_events_lte=1, assert_convergence_ratio_lte=0.01).verdict
        is Verdict.WARN
    )
    log(tmp_path, 2, run([*falling(200), *np.linspace(0.8, 2.0, 100)]))
    assert judged(tmp_path, assert_smoothness_gte=0.1).verdict is Verdict.PASS


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Run 1 made v1 soundly, run 2 made v2 and diverged, run 3 made v3 by preference."""
    log(tmp_path, 1, run(falling(), 1, version=1))
    log(tmp_path, 2, run(falling(high=1.0, low=3.0), 2, version=2))
    start = {"type": "dpo_phase_start", "reference_adapter_version": 2}
    steps = [step(i, loss) for i, loss in enumerate(falling(100, high=0.69, low=0.1), 1)]
    log(tmp_path, 3, [{"type": "banner", "run_id": 3}, start, *steps, complete(3, 3, 100)])
    for number in (1, 2, 3, 4):
        (tmp_path / f"adapter/versions/v000{number}").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("version", "verdict", "chosen"),
    [
        (1, Verdict.PASS, "the run that created v0001"),
        (2, Verdict.FAIL, "the run that created v0002"),
        (3, Verdict.PASS, "the run that created v0003"),
        (4, Verdict.PASS, "the last run, because no log says which run created v0004"),
    ],
)
def test_the_run_that_made_the_adapter_is_judged(
    store: Path, version: int, verdict: Verdict, chosen: str
) -> None:
    probe = TrainingDrift().with_context(ProbeContext(adapter=store / f"adapter/versions/v000{version}"))
    found = run_probe(probe, None)
    assert (found.verdict, found.evidence["chosen"]) == (verdict, chosen)
    assert found.evidence["run"]["run_id"] == min(version, 3)
    assert [run["run_id"] for run in found.evidence["runs"]] == [1, 2, 3]
    assert found.evidence["runs"][2]["phase"] == "dpo"


def test_a_store_of_another_adapter_is_judged_by_its_last_run(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other/adapter/versions/v0002"
    assert judged(store, adapter=other).evidence["chosen"] == "the last run"
    assert judged(store, adapter=store / "adapter/versions/v0001").evidence["run"]["run_id"] == 1
    assert judged(store / "logs", adapter=store / "adapter/versions/v0001").evidence["run"]["run_id"] == 1


def test_short_runs_are_passed_over(tmp_path: Path) -> None:
    log(tmp_path, 1, run(falling(50), 1))
    log(tmp_path, 2, run([9.0] * 9, 2))
    assert judged(tmp_path).evidence["run"]["run_id"] == 1


def test_named_adapters_share_the_numbers_of_versions(tmp_path: Path) -> None:
    log(tmp_path, 1, run(falling(), 1, version=1))
    log(tmp_path, 2, run(falling(high=1.0, low=3.0), 2, version=1))
    tone = tmp_path / "adapter/tone/versions/v0001"
    unknown = judged(tmp_path, adapter=tone)
    assert unknown.verdict is Verdict.SKIP
    assert unknown.message.startswith(
        "cannot tell which run trained the adapter tone: 2 runs created a version v0001, and no manifest.json"
    )
    runs = [{"run_id": 1, "adapter_name": "tone"}, {"run_id": 2, "adapter_name": "facts"}]
    (tmp_path / "manifest.json").write_text(json.dumps({"training_runs": runs}))
    found = judged(tmp_path, adapter=tone)
    assert (found.verdict, found.evidence["chosen"]) == (Verdict.PASS, "the run that created tone/v0001")


def test_skips_say_what_is_missing(tmp_path: Path) -> None:
    nothing = run_probe(TrainingDrift().with_context(ProbeContext(adapter=tmp_path)), None)
    assert (nothing.verdict, nothing.score) == (Verdict.SKIP, None)
    assert nothing.message.startswith(
        f"there is no training log in {tmp_path}; supported files: trainer_state.json"
    )
    assert judged(tmp_path).message == nothing.message
    log(tmp_path, 1, run([2.0] * 9, 1, version=1))
    short = judged(tmp_path)
    assert (short.verdict, short.message) == (
        Verdict.SKIP,
        "the longest run logged 9 steps, but min_steps is 10",
    )
    made = judged(tmp_path, adapter=tmp_path / "adapter/versions/v0001")
    assert made.message == "the run that created v0001 logged 9 steps, but min_steps is 10"
    assert judged(tmp_path, min_steps=9).verdict is Verdict.WARN


def test_bad_input_is_an_error_of_one_line(tmp_path: Path) -> None:
    missing = judged(tmp_path / "nó store")
    assert missing.verdict is Verdict.ERROR
    assert missing.message.startswith("store_path: '")
    assert "exists neither in the spec's folder nor in the working directory" in missing.message
    (tmp_path / "train-1.jsonl").write_text("epoch,loss\n1,2\n")
    broken = judged(tmp_path)
    assert broken.verdict is Verdict.ERROR
    assert "train-1.jsonl:1: the first line is not JSON" in broken.message


@pytest.mark.nightly  # it is timed
def test_ten_thousand_steps_are_quick(tmp_path: Path) -> None:
    log(tmp_path, 1, run(falling(10_000)))
    began = time.process_time()
    assert judged(tmp_path).verdict is Verdict.PASS
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "options",
    [
        {"store_path": ""},
        {"min_steps": 3},
        {"rolling_window": 2},
        {"rolling_window": 1001},
        {"spike_sigma": 0},
        {"assert_smoothness_gte": 1.1},
        {"assert_convergence_ratio_lte": 0},
        {"assert_instability_events_lte": -1},
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        TrainingDrift(**options)


def test_defaults_are_dlm_sways() -> None:
    found = TrainingDrift().options.model_dump(exclude={"name", "kind", "enabled", "weight", "timeout"})
    assert found == {
        "store_path": None,
        "min_steps": 10,
        "rolling_window": 10,
        "spike_sigma": 3.0,
        "assert_smoothness_gte": 0.7,
        "assert_convergence_ratio_lte": 0.7,
        "assert_instability_events_lte": 0,
    }


def test_a_spec_of_pre_run_probes_loads_no_model(project: pytest.Pytester) -> None:
    """The adapter under evaluation is a store's version: both probes find what it left behind."""
    version = project.path / "store/adapter/versions/v0001"
    version.mkdir(parents=True)
    (version / "adapter_config.json").write_text("{}")
    save(version, {"state": {}, "param_groups": []}, global_step=300)
    log(project.path / "store", 1, run(falling(), 1, version=1))
    write(project.path / "elsewhere" / "train-9.jsonl", run(falling(high=1.0, low=2.0)))
    project.makefile(
        ".yaml",
        sway="""
        version: 1
        models:
          base: {kind: dummy, base: fakellm}
          ft: {kind: dummy, base: fakellm, adapter: store/adapter/versions/v0001}
        suite:
          - {name: ghost, kind: gradient_ghost}
          - {name: drift, kind: training_drift}
          - {name: elsewhere, kind: training_drift, store_path: elsewhere}
        """,
    )
    fake_models.LOADS.clear()
    result = project.runpytest("-rA", "sway.yaml")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAIL training_drift: the loss diverged: loss 1* → *"])
    assert fake_models.LOADS == []

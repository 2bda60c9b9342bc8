"""gradient_ghost on states that were really trained, and on such states with defects put in."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import OptionsError, ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.result import ProbeResult, Verdict
from tests.support.dlm_training import complete, log, optimizer_state, run, save, seal, step, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of twelve layers after 60 steps of AdamW."""
    folder = tmp_path_factory.mktemp("trained")
    losses = train(folder)
    assert losses[-1] < losses[0]
    return folder


@pytest.fixture
def adapter(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to plant in."""
    return Path(shutil.copytree(trained, tmp_path / "adapter"))


def judged(folder: Path, **options: Any) -> ProbeResult:
    return run_probe(GradientGhost(adapter_path=str(folder), **options), None)


def plant(folder: Path, values: dict[int, float], **state: Any) -> None:
    """Multiply the second moments of some of the optimizer's parameters."""
    optimizer = optimizer_state(folder / "training_state.pt")
    for parameter, factor in values.items():
        optimizer["state"][parameter]["exp_avg_sq"] *= factor
    save(folder, optimizer, **state)


def layer(*numbers: int) -> list[int]:
    """The optimizer's parameters of these layers: four in each."""
    return [4 * number + i for number in numbers for i in range(4)]


def test_a_trained_adapter_passes(adapter: Path) -> None:
    seal(adapter / "training_state.pt")
    found = judged(adapter)
    assert (found.verdict, found.score, found.raw) == (Verdict.PASS, 1.0, 0.0)
    assert found.message == "sound: 60 steps (optimizer); 0 of 12 layers undertrained"
    assert (found.category, found.claim) == ("calibration", "pre_run")
    moments = [
        state["exp_avg_sq"] for state in optimizer_state(adapter / "training_state.pt")["state"].values()
    ]
    every = torch.cat([values.flatten() for values in moments]).double()
    wanted = {
        "global_step": 60,
        "epoch": 3.0,
        "best_val_loss": 1.25,
        "use_qlora": False,
        "num_params": 48,
        "num_layers": 12,
        "params_per_layer": 4,
        "num_layers_undertrained": 0,
        "frac_layers_undertrained": 0.0,
        "num_nonfinite_exp_avg_sq": 0,
        "steps": 60,
        "step_source": "optimizer",
        "no_layer_map": "",
        "weight": 1.0,
    }
    assert {key: found.evidence[key] for key in wanted} == wanted
    assert found.evidence["global_mean_exp_avg_sq"] == pytest.approx(float(every.mean()))
    assert len(found.evidence["worst_layers"]) == 3


def test_layers_that_got_less_are_named_by_the_models_order(adapter: Path) -> None:
    """Layer 10 stands third in the file and last but one in the optimizer."""
    plant(adapter, dict.fromkeys(layer(10), 1e-9))
    found = judged(adapter)
    assert found.verdict is Verdict.PASS, "one of twelve is within layer_failure_frac"
    assert found.message.endswith("1 of 12 layers undertrained")
    assert found.raw == pytest.approx(1 / 12)
    worst = found.evidence["worst_layers"][0]
    assert (worst["layer"], worst["name"]) == (10, "layers.10")
    assert worst["ratio"] > 1e5
    strict = judged(adapter, layer_failure_frac=0.05)
    assert (strict.verdict, strict.score) == (Verdict.WARN, 0.5)
    assert "1 of 12 layers undertrained (more than 5%): layers.10" in strict.message


def test_many_such_layers_warn(adapter: Path) -> None:
    plant(adapter, dict.fromkeys(layer(1, 4, 7, 11), 1e-12))
    found = judged(adapter)
    assert found.verdict is Verdict.WARN
    assert found.evidence["num_layers_undertrained"] == 4


def set_steps(folder: Path, steps: int) -> None:
    optimizer = optimizer_state(folder / "training_state.pt")
    for state in optimizer["state"].values():
        state["step"] = torch.tensor(float(steps))
    save(folder, optimizer, global_step=steps)


@pytest.mark.parametrize("steps", [49, 99])
def test_fewer_steps_than_the_spec_asks_for_fail(adapter: Path, steps: int) -> None:
    set_steps(adapter, steps)
    found = judged(adapter, min_steps_threshold=steps + 1)
    assert (found.verdict, found.score, found.raw) == (Verdict.FAIL, 0.0, steps)
    assert found.evidence["primary_signal"] == "global_step_below_threshold"
    assert found.message == f"too few steps: {steps} steps (optimizer), fewer than the required {steps + 1}"
    assert judged(adapter, min_steps_threshold=steps).verdict is Verdict.PASS


def test_few_steps_warn_where_the_spec_asks_for_none(adapter: Path) -> None:
    """Fifteen steps of DPO moved a real model's margin from 0.12 to 0.29 nats."""
    set_steps(adapter, 15)
    found = judged(adapter)
    assert (found.verdict, found.raw) == (Verdict.WARN, 0.0)
    assert found.message.startswith("perhaps too few steps: 15 steps (optimizer), fewer than 50; ")
    assert "min_steps_threshold" in found.message


@pytest.mark.parametrize("options", [{}, {"min_steps_threshold": 50}])
def test_no_step_fails(adapter: Path, options: dict[str, Any]) -> None:
    set_steps(adapter, 0)
    found = judged(adapter, **options)
    assert (found.verdict, found.evidence["primary_signal"]) == (Verdict.FAIL, "global_step_below_threshold")


def test_the_optimizers_step_count_precedes_the_trainers(adapter: Path) -> None:
    plant(adapter, {}, global_step=3)
    assert judged(adapter).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("factor", "signal"), [(math.nan, "all_optimizer_state_nan"), (0.0, "no_gradient_ever")]
)
def test_an_optimizer_without_a_number_fails(adapter: Path, factor: float, signal: str) -> None:
    plant(adapter, dict.fromkeys(range(48), factor))
    found = judged(adapter)
    assert (found.verdict, found.evidence["primary_signal"]) == (Verdict.FAIL, signal)


def test_an_optimizer_that_made_no_step_fails(adapter: Path) -> None:
    optimizer = optimizer_state(adapter / "training_state.pt")
    save(adapter, {**optimizer, "state": {}}, global_step=200)
    assert judged(adapter).evidence["primary_signal"] == "no_gradient_ever"


def test_a_learning_rate_of_zero_fails(adapter: Path) -> None:
    optimizer = optimizer_state(adapter / "training_state.pt")
    optimizer["param_groups"][0]["initial_lr"] = 0.0
    save(adapter, optimizer)
    assert judged(adapter).evidence["primary_signal"] == "learning_rate_zero"


@pytest.mark.parametrize(
    ("factor", "key", "words"),
    [(math.nan, "nonfinite_modules", "NaN or infinite"), (0.0, "dead_modules", "no gradient ever reached")],
)
def test_a_broken_module_warns_by_name(adapter: Path, factor: float, key: str, words: str) -> None:
    plant(adapter, {4 * 10 + 3: factor})
    found = judged(adapter)
    assert found.verdict is Verdict.WARN
    assert found.evidence[key] == ["layers.10.down.lora_B"]
    assert words in found.message
    assert "layers.10.down.lora_B" in found.message


def test_a_module_without_state_is_dead(adapter: Path) -> None:
    optimizer = optimizer_state(adapter / "training_state.pt")
    del optimizer["state"][0], optimizer["state"][1]
    save(adapter, optimizer)
    assert judged(adapter).evidence["dead_modules"] == ["layers.0.up.lora_A", "layers.0.up.lora_B"]


def test_a_dead_layer_is_reported_without_a_ratio(adapter: Path) -> None:
    plant(adapter, dict.fromkeys(layer(5), 0.0))
    worst = judged(adapter).evidence["worst_layers"][0]
    assert (worst["name"], worst["ratio"]) == ("layers.5", None)


def test_the_layer_map_that_cannot_be_made_is_said(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    plant(adapter, {7: math.nan})
    found = judged(adapter)
    assert found.message.endswith("; layers not judged: there is no adapter_model.safetensors")
    assert found.evidence["no_layer_map"] == "there is no adapter_model.safetensors"
    assert (found.raw, found.evidence["num_layers"]) == (None, 0)
    assert found.evidence["nonfinite_modules"] == ["parameter 7"]


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ([range(24), range(24, 48)], "the optimizer has 2 parameter groups"),
        ([range(47)], "the optimizer has 47 parameters"),
    ],
)
def test_why_there_is_no_map(adapter: Path, groups: list[range], says: str) -> None:
    optimizer = optimizer_state(adapter / "training_state.pt")
    first = optimizer["param_groups"][0]
    save(adapter, {**optimizer, "param_groups": [{**first, "params": list(ids)} for ids in groups]})
    found = judged(adapter)
    assert (found.verdict, found.raw) == (Verdict.PASS, None)
    assert says in found.message


def test_another_optimizer_is_judged_by_its_steps(adapter: Path) -> None:
    save(adapter, {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"params": [0]}]})
    found = judged(adapter)
    assert found.verdict is Verdict.PASS
    assert found.message.startswith(
        "sound: 60 steps (global_step); layers not judged: the optimizer keeps no second moment"
    )
    assert found.evidence["dead_modules"] == []


@pytest.fixture
def version(trained: Path, tmp_path: Path) -> Path:
    """Version 2 of a store, whose last run made 10 steps."""
    folder = Path(shutil.copytree(trained, tmp_path / "store/adapter/versions/v0002"))
    optimizer = optimizer_state(folder / "training_state.pt")
    for state in optimizer["state"].values():
        state["step"] = torch.tensor(10.0)
    save(folder, optimizer, global_step=10)
    return folder


def test_a_retrain_that_may_have_gone_on_warns(version: Path, tmp_path: Path) -> None:
    """dlm's log does not say whether run 2 began anew: 10 steps are certain, 210 possible."""
    log(tmp_path / "store", 1, run([1.0], 1, version=1, steps=200))
    log(tmp_path / "store", 2, run([1.0], 2, version=2, steps=10))
    found = judged(version)
    assert found.verdict is Verdict.WARN
    assert found.message == (
        "undecided: only 10 steps surely trained this adapter; all 2 runs together have 210 steps, "
        "but no log says whether the last run continued from the previous version of the adapter"
    )
    assert (found.evidence["steps"], found.evidence["steps_last_run"]) == (210, 10)
    assert found.evidence["step_source"] == "training logs"


def test_a_preference_phase_adds_to_its_reference(version: Path, tmp_path: Path) -> None:
    log(tmp_path / "store", 1, run([1.0], 1, version=1, steps=200))
    start = {"type": "dpo_phase_start", "reference_adapter_version": 1}
    log(tmp_path / "store", 2, [{"type": "banner", "run_id": 2}, start, step(1, 0.7), complete(2, 2, 10)])
    found = judged(version)
    assert (found.verdict, found.evidence["steps_certain"]) == (Verdict.PASS, 210)


def test_few_steps_in_all_runs_fail(version: Path, tmp_path: Path) -> None:
    log(tmp_path / "store", 1, run([1.0], 1, version=1, steps=20))
    log(tmp_path / "store", 2, run([1.0], 2, version=2, steps=10))
    found = judged(version, min_steps_threshold=50)
    assert (found.verdict, found.raw) == (Verdict.FAIL, 30)
    assert found.message == "too few steps: 30 steps (training logs), fewer than the required 50"


@pytest.mark.parametrize("broken", [False, True])
def test_a_store_whose_logs_say_nothing(version: Path, tmp_path: Path, broken: bool) -> None:
    if broken:
        (tmp_path / "store" / "logs").mkdir()
        (tmp_path / "store" / "logs" / "train-1.jsonl").write_text("no json")
    found = judged(version, min_steps_threshold=50)
    source = "optimizer; the logs cannot be read" if broken else "optimizer"
    assert (found.verdict, found.evidence["step_source"]) == (Verdict.FAIL, source)


def test_what_is_wrong_with_a_state_is_an_error_of_one_line(adapter: Path) -> None:
    seal(adapter / "training_state.pt")
    plant(adapter, {}, epoch=4.0)
    found = judged(adapter)
    assert found.verdict is Verdict.ERROR
    assert "training_state.pt.sha256: its SHA-256 is" in found.message
    (adapter / "training_state.pt.sha256").unlink()
    save(adapter, {}, global_step=None)
    assert "contains neither global_step nor an optimizer step count" in judged(adapter).message
    (adapter / "adapter_model.safetensors").write_bytes(b"?")
    plant_back = judged(adapter)
    assert plant_back.verdict is Verdict.ERROR


def test_without_a_state_it_is_skipped(adapter: Path) -> None:
    (adapter / "training_state.pt").unlink()
    found = judged(adapter)
    assert (found.verdict, found.score) == (Verdict.SKIP, None)
    assert "there is no " in found.message
    assert "training_state.pt" in found.message


def test_where_the_adapter_is(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = GradientGhost()
    assert run_probe(probe, None).verdict is Verdict.SKIP
    assert run_probe(probe.with_context(ProbeContext(adapter=adapter)), None).verdict is Verdict.PASS
    named = GradientGhost(adapter_path="adapter").with_context(ProbeContext(folder=adapter.parent))
    assert run_probe(named, None).verdict is Verdict.PASS
    monkeypatch.chdir(adapter.parent)
    named = named.with_context(ProbeContext(folder=Path("/")))
    assert run_probe(named, None).verdict is Verdict.PASS
    wrong = run_probe(GradientGhost(adapter_path="nówhere"), None)
    assert wrong.verdict is Verdict.ERROR
    assert wrong.message.startswith("adapter_path: 'nówhere' exists neither")


def test_without_torch_it_is_skipped(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.probes.shared.optional_packages.find_spec", lambda name: None)
    found = judged(adapter)
    assert (found.verdict, found.message) == (
        Verdict.SKIP,
        "torch is not installed; run pip install 'pytest-sway[hf]'",
    )


@pytest.mark.parametrize(
    "options",
    [
        {"adapter_path": ""},
        {"min_steps_threshold": "many"},
        {"undertrained_layer_ratio": 1.0},
        {"undertrained_layer_ratio": math.inf},
        {"layer_failure_frac": -0.1},
        {"steps": 3},
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        GradientGhost(**options)


def test_defaults_are_dlm_sways() -> None:
    options = GradientGhost().options
    assert (options.min_steps_threshold, options.undertrained_layer_ratio, options.layer_failure_frac) == (
        50,
        2.0,
        0.3,
    )

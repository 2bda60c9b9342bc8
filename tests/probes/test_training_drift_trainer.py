"""training_drift on logs of Trainer, TRL, LLaMA-Factory and torchtune."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.training_drift import TrainingDrift
from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.suites.json_conversion import to_json
from tests.support.dlm_training import write
from tests.support.trainer_files import factory_log, falling, history, torchtune_log, trainer_state


def judged(adapter: Path | None, **options: Any) -> ProbeResult:
    folder = adapter.parent if adapter is not None else Path("/")
    return run_probe(
        TrainingDrift(**options).with_context(ProbeContext(adapter=adapter, folder=folder)), None
    )


def test_a_sound_run_passes_and_says_what_was_read(tmp_path: Path) -> None:
    trainer_state(tmp_path / "run", history(200))
    found = judged(tmp_path / "run")
    assert found.verdict is Verdict.PASS
    assert found.message.endswith(
        "over 40 logged steps, smoothness 1.00 (the only run) (read from run/trainer_state.json)"
    )
    assert found.evidence["initial_loss"] == pytest.approx(falling(5), rel=0.2)
    assert (found.evidence["num_grad_norms"], found.evidence["run"]["file"]) == (40, "trainer_state.json")


@pytest.mark.parametrize("kind", ["log", "torchtune", "jsonl"])
def test_other_logs(tmp_path: Path, kind: str) -> None:
    losses = [falling(step) for step in range(5, 205, 5)]
    if kind == "log":
        file = factory_log(tmp_path / "run/trainer_log.jsonl", history(200))
    elif kind == "torchtune":
        file = torchtune_log(tmp_path / "run/logs/log_1700000000.txt", losses)
    else:
        file = write(tmp_path / "run/any.jsonl", history(200))
    (tmp_path / "adapter").mkdir()
    for place in (file, tmp_path / "run"):
        found = judged(tmp_path / "adapter", store_path=str(place))
        assert (found.verdict, found.evidence["num_steps"]) == (Verdict.PASS, 40)
        assert f"(read from {file.relative_to(tmp_path)})" in found.message


def test_the_broken_run_of_fp16(tmp_path: Path) -> None:
    """Every loss 0 beside a gradient norm of NaN: not a loss that fell to 0."""
    records = history(200, loss=lambda n: 0.0 if n > 5 else 1.07, grad_norm=math.nan)
    trainer_state(tmp_path / "run", records)
    found = judged(tmp_path / "run")
    assert (found.verdict, found.score) == (Verdict.FAIL, 0.0)
    assert "39 of 40 losses are NaN or infinite (39 were logged as 0 while grad_norm was NaN" in found.message
    assert found.message.endswith("(read from run/trainer_state.json)")
    json.dumps(to_json(found), allow_nan=False)


def test_few_steps_are_enough_for_nan(tmp_path: Path) -> None:
    trainer_state(tmp_path / "run", history(15, loss=lambda n: 0.0, grad_norm=math.nan))
    assert judged(tmp_path / "run").verdict is Verdict.FAIL
    trainer_state(tmp_path / "run", history(15))
    few = judged(tmp_path / "run")
    assert few.verdict is Verdict.SKIP
    assert few.message.startswith(
        "only 3 losses were logged in 15 steps, but min_steps is 10; train with a smaller logging_steps"
    )


@pytest.mark.parametrize(
    ("records", "verdict", "says"),
    [
        (history(200, grad_norm=lambda n: math.nan if n > 100 else 1.0), "fail", "from step 105 to the end"),
        (history(200, grad_norm=0.0), "fail", "grad_norm is 0 at all 40 logged steps"),
        (history(200, loss=lambda n: 1 + n / 100), "fail", "the loss diverged"),
        (
            history(200, loss=lambda n: math.nan if n > 190 else 1.0),
            "fail",
            "the last loss is NaN or infinite",
        ),
        (
            history(200, grad_norm=lambda n: math.nan if n == 200 else 1.0),
            "warn",
            "from step 200 to the end: either fp16",
        ),
        (history(200, grad_norm=lambda n: math.inf if n < 40 else 1.0), "warn", "7 of 40 logged steps"),
        (history(200, grad_norm=lambda n: math.inf if n < 10 else 1.0), "pass", "40 logged steps"),
        (
            [*history(200), *({"step": n, "eval_loss": v} for n, v in ((50, 1.0), (100, 0.8), (200, 1.5)))],
            "warn",
            "the validation loss rose again, from 0.8 to 1.5",
        ),
        ([*history(200), {"step": 200, "train_loss": 1.0}], "pass", "40 logged steps"),
    ],
    ids=["lost", "zero", "diverged", "ends", "last", "many", "one", "validation", "summary"],
)
def test_courses(tmp_path: Path, records: list[dict[str, Any]], verdict: str, says: str) -> None:
    trainer_state(tmp_path / "run", records)
    found = judged(tmp_path / "run")
    assert found.verdict.value == verdict
    assert says in found.message


def test_a_loss_of_zero_without_a_norm_has_two_causes(tmp_path: Path) -> None:
    factory_log(
        tmp_path / "run/trainer_log.jsonl", history(200, loss=lambda n: 0.0 if n > 100 else falling(n))
    )
    found = judged(tmp_path / "run")
    assert found.verdict is Verdict.WARN
    assert (
        "the loss is 0 from step 105 to the end, and no grad_norm is logged: either the loss was NaN"
        in found.message
    )
    assert ", or it was too small for the log" in found.message


def test_preferences_are_judged_and_rewards_are_not(tmp_path: Path) -> None:
    """TRL's DPO has a loss that falls from ln 2; GRPO's starts at 0 and rises in sound runs."""
    dpo = history(200, loss=lambda n: 0.69 * math.exp(-n / 50), **{"rewards/chosen": 0.1})
    trainer_state(tmp_path / "run", dpo)
    assert judged(tmp_path / "run").verdict is Verdict.PASS
    trainer_state(tmp_path / "run", history(200, loss=lambda n: n * 1e-4, reward=1.0))
    found = judged(tmp_path / "run")
    assert found.verdict is Verdict.SKIP
    assert found.message.startswith("the run maximised a reward")
    lost = history(200, loss=lambda n: math.nan if n > 50 else n * 1e-4, reward=1.0)
    trainer_state(tmp_path / "run", lost)
    broken = judged(tmp_path / "run")
    assert broken.verdict is Verdict.FAIL
    assert "diverged" not in broken.message


def test_of_a_log_that_goes_on_the_part_up_to_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "out/checkpoint-100").mkdir(parents=True)
    log = history(200, loss=lambda n: falling(n) if n <= 100 else 9.0)
    factory_log(tmp_path / "out/trainer_log.jsonl", log)
    found = judged(tmp_path / "out/checkpoint-100")
    assert (found.verdict, found.evidence["num_steps"]) == (Verdict.PASS, 20)
    assert "trainer_log.jsonl, up to step 100)" in found.message
    factory_log(tmp_path / "out/trainer_log.jsonl", history(50))
    other = judged(tmp_path / "out/checkpoint-100")
    assert other.verdict is Verdict.SKIP
    assert "ends at step 50, but the adapter is from step 100" in other.message


def test_of_two_runs_in_one_log_the_last(tmp_path: Path) -> None:
    """Never the earlier one's losses, however few the last one has."""
    rising = history(200, loss=lambda n: 1 + n / 100)
    factory_log(tmp_path / "run/trainer_log.jsonl", [*rising, *history(100)])
    found = judged(tmp_path / "run")
    assert (found.verdict, found.evidence["num_runs"], found.evidence["num_steps"]) == (Verdict.PASS, 2, 20)
    assert "(the last of 2 runs)" in found.message
    factory_log(tmp_path / "run/trainer_log.jsonl", [*rising, *history(10)])
    assert judged(tmp_path / "run").verdict is Verdict.SKIP


def test_a_log_without_losses_names_what_it_holds(tmp_path: Path) -> None:
    trainer_state(tmp_path / "run", [])
    assert (
        "the log has no step with a loss (read from run/trainer_state.json)"
        in judged(tmp_path / "run").message
    )
    path = write(tmp_path / "metrics.jsonl", [{"_step": 1, "train/loss": 2.0}])
    found = judged(tmp_path / "run", store_path=str(path))
    assert found.verdict is Verdict.SKIP
    assert "the log has no step with a loss; the records have the keys '_step', 'train/loss'" in found.message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("debug.log", "run/debug.log (a text log, e.g. from axolotl)"),
        ("runs/May01/events.out.tfevents.1", "run/runs/May01/events.out.tfevents.1 (TensorBoard events)"),
        ("train_results.json", "run/train_results.json (a summary without steps)"),
        ("wandb/run-1", "run/wandb (Weights & Biases)"),
    ],
)
def test_logs_that_are_not_read_are_named(tmp_path: Path, name: str, says: str) -> None:
    """By the names that these tools give their files, known from their documentation."""
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    found = judged(tmp_path / "run")
    assert found.verdict is Verdict.SKIP
    assert f"found instead: {says}" in found.message
    assert "supported files: trainer_state.json" in found.message


def test_a_damaged_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = trainer_state(tmp_path / "run", history(50))
    path.write_bytes(path.read_bytes()[:-40])
    found = judged(tmp_path / "run")
    assert found.verdict is Verdict.ERROR
    assert f"{path}:" in found.message
    assert "\n" not in found.message


def test_a_full_fine_tune_names_its_log(tmp_path: Path) -> None:
    assert judged(None).message == (
        "no adapter is evaluated in this run; set store_path to a training log or its folder"
    )
    trainer_state(tmp_path / "run", history(200))
    assert judged(None, store_path=str(tmp_path / "run")).verdict is Verdict.PASS

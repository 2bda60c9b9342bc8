"""gradient_ghost on what Hugging Face's Trainer leaves: optimizer.pt, checkpoints, trainer_state.json."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.result import ProbeResult, Verdict
from tests.support.trainer_files import checkpoint, history, trainer_state


def judged(adapter: Path, **options: Any) -> ProbeResult:
    return run_probe(
        GradientGhost(**options).with_context(ProbeContext(adapter=adapter, folder=adapter.parent)), None
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 60 steps of AdamW."""
    return checkpoint(tmp_path_factory.mktemp("saved") / "checkpoint-60")


@pytest.fixture
def output(saved: Path, tmp_path: Path) -> Path:
    """A Trainer's output folder with that checkpoint, whose adapter is the final one."""
    shutil.copytree(saved, tmp_path / "out/checkpoint-60")
    shutil.copy(saved / "adapter_model.safetensors", tmp_path / "out")
    return tmp_path / "out"


def change(folder: Path, **values: Any) -> None:
    """Set a value of every parameter's state."""
    state = torch.load(folder / "optimizer.pt", weights_only=True)
    for kept in state["state"].values():
        kept |= {key: value(kept[key]) for key, value in values.items()}
    torch.save(state, folder / "optimizer.pt")


def test_a_checkpoint_passes(output: Path) -> None:
    found = judged(output / "checkpoint-60")
    assert found.verdict is Verdict.PASS
    assert found.message == (
        "sound: 60 steps (optimizer); 0 of 4 layers undertrained (read from checkpoint-60/optimizer.pt)"
    )
    wanted = {"global_step": 60, "epoch": 2.0, "num_params": 16, "num_layers": 4, "kept": "second moment"}
    assert {key: found.evidence[key] for key in wanted} == wanted


def test_the_final_adapter_has_its_checkpoints_state(output: Path) -> None:
    found = judged(output)
    assert found.verdict is Verdict.PASS
    assert found.message.endswith(
        "(read from out/checkpoint-60/optimizer.pt, the checkpoint with the adapter's weights)"
    )


def test_accelerates_name(output: Path) -> None:
    (output / "checkpoint-60/optimizer.pt").rename(output / "optimizer.bin")
    assert judged(output).message.endswith("(read from out/optimizer.bin)")


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (0.0, "every second moment in the optimizer state is zero: no gradient ever reached the adapter"),
        (math.nan, "every second moment in the optimizer state is NaN or infinite"),
    ],
)
def test_moments_without_a_number_fail(output: Path, factor: float, says: str) -> None:
    change(output / "checkpoint-60", exp_avg_sq=lambda moment: moment * factor)
    found = judged(output)
    assert found.verdict is Verdict.FAIL
    assert found.message.startswith(says)
    assert "(read from out/checkpoint-60/optimizer.pt" in found.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "options", "verdict", "source", "kept"),
    [
        (torch.optim.RMSprop, {}, Verdict.PASS, "optimizer", "second moment"),
        (torch.optim.Adagrad, {}, Verdict.PASS, "optimizer", "second moment"),
        (torch.optim.Adafactor, {}, Verdict.PASS, "optimizer", "second moment"),
        (torch.optim.SGD, {"momentum": 0.9}, Verdict.PASS, "trainer_state.json", "momentum"),
        (torch.optim.SGD, {}, Verdict.PASS, "trainer_state.json", ""),
    ],
    ids=["RMSprop", "Adagrad", "Adafactor", "momentum", "SGD"],
)
def test_other_optimizers(
    tmp_path: Path, make: Any, options: dict[str, Any], verdict: Verdict, source: str, kept: str
) -> None:
    found = judged(checkpoint(tmp_path / "checkpoint-60", make=make, **options))
    assert (found.verdict, found.evidence["step_source"], found.evidence["kept"]) == (verdict, source, kept)
    assert (found.evidence["no_layer_map"] == "") is (kept == "second moment")


def test_a_dead_momentum_fails(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-60", make=torch.optim.SGD, momentum=0.9)
    change(folder, momentum_buffer=torch.zeros_like)
    found = judged(folder)
    assert found.verdict is Verdict.FAIL
    assert found.message.startswith("every momentum in the optimizer state is zero")


def test_an_optimizer_that_began_anew_is_doubted(output: Path) -> None:
    """10 steps by its own count, 60 by the trainer's: two causes, and both are named."""
    change(output / "checkpoint-60", step=lambda step: torch.tensor(10.0))
    found = judged(output)
    assert (found.verdict, found.evidence["steps_certain"], found.evidence["steps"]) == (Verdict.WARN, 10, 60)
    assert "60 steps according to trainer_state.json, but 10 according to the optimizer" in found.message
    assert "was reset in between, or the two files come from different runs" in found.message
    change(output / "checkpoint-60", step=lambda step: torch.tensor(55.0))
    enough = judged(output)
    assert enough.verdict is Verdict.PASS
    assert enough.message.startswith("sound: 60 steps (trainer_state.json; 55 according to the optimizer)")


def test_the_folders_name_counts_where_nothing_else_does(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint-60", make=torch.optim.SGD)
    (folder / "trainer_state.json").unlink()
    assert judged(folder).message.startswith("sound: 60 steps (the folder's name)")
    folder = folder.rename(tmp_path / "adapter")
    found = judged(folder)
    assert found.verdict is Verdict.ERROR
    assert "nor a trainer_state.json in the same folder contains a step count" in found.message


def test_a_trainer_state_of_another_step_is_not_judged(output: Path) -> None:
    trainer_state(output / "checkpoint-60", history(30))
    found = judged(output)
    assert found.verdict is Verdict.SKIP
    assert "was written at step 30, but the folder name says step 60" in found.message


def test_steps_alone_can_fail_and_cannot_pass(output: Path) -> None:
    """save_only_model: trainer_state.json counts, but nothing is known of gradients."""
    (output / "checkpoint-60/optimizer.pt").unlink()
    found = judged(output)
    assert found.verdict is Verdict.SKIP
    assert "60 steps by " in found.message
    assert "there is no optimizer state in" in found.message
    few = judged(output, min_steps_threshold=61)
    assert (few.verdict, few.evidence["primary_signal"]) == (Verdict.FAIL, "global_step_below_threshold")
    assert few.message.startswith("too few steps: 60 steps (trainer_state.json), fewer than the required 61")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("global_step60/mp_rank_00_model_states.pt", "checkpoint-60/global_step60 (DeepSpeed's shards)"),
        ("optimizer_0/__0_0.distcp", "checkpoint-60/optimizer_0 (FSDP's shards)"),
        ("optimizer.safetensors", "checkpoint-60/optimizer.safetensors (not a transformers format)"),
        ("rank0-of-8-optimizer.pt", "checkpoint-60/rank0-of-8-optimizer.pt (shards of a run on XLA"),
    ],
)
def test_formats_that_are_not_read_are_named(output: Path, name: str, says: str) -> None:
    """The names are known from transformers', accelerate's and DeepSpeed's sources; the files are empty."""
    (output / "checkpoint-60/optimizer.pt").unlink()
    path = output / "checkpoint-60" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    found = judged(output)
    assert found.verdict is Verdict.SKIP
    assert f"found instead: {says}" in found.message
    assert "supported files: optimizer.pt" in found.message


def test_checkpoints_of_another_adapter_are_named(output: Path, tmp_path: Path) -> None:
    checkpoint(tmp_path / "other", layers=3)
    shutil.copy(tmp_path / "other/adapter_model.safetensors", output)
    found = judged(output)
    assert found.verdict is Verdict.SKIP
    assert "found instead: checkpoint-60 (its adapter has different tensors)" in found.message


class Malice:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_an_object_in_an_optimizer_state_is_named_and_not_run(output: Path, tmp_path: Path) -> None:
    path = output / "checkpoint-60/optimizer.pt"
    torch.save({**torch.load(path, weights_only=True), "x": Malice(tmp_path / "proof")}, path)
    found = judged(output)
    assert found.verdict is Verdict.ERROR
    assert "mkdir, which is executable code; save only" in found.message
    assert not (tmp_path / "proof").exists()

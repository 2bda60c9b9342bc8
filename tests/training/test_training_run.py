"""A run that Hugging Face's Trainer really made: its files are read as they are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.probes.training_drift import TrainingDrift
from pytest_sway.result import ProbeResult, Verdict

pytestmark = [pytest.mark.slow]


class Repeats(torch.utils.data.Dataset):
    """Sixteen sequences that come twice, which a small model can learn."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        half = torch.randint(0, 8, (6,), generator=torch.Generator().manual_seed(index))
        ids = torch.cat([half, half])
        return {"input_ids": ids, "labels": ids}


def train(output: Path, broken_at: int | None = None, **arguments: Any) -> Path:
    """Train a LoRA and the head of a random model; a weight becomes NaN at a step where that is asked."""
    pytest.importorskip("accelerate", reason="transformers' Trainer needs it")
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Break(TrainerCallback):
        def on_step_begin(
            self, args: Any, state: Any, control: Any, model: Any = None, **others: Any
        ) -> None:
            if state.global_step == broken_at:
                with torch.no_grad():  # all of them: some processors' attention swallows a NaN in its queries
                    for parameter in model.parameters():
                        if parameter.requires_grad:
                            parameter.fill_(math.nan)

    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["lm_head"])
    known: dict[str, Any] = {
        "max_steps": 60,
        "logging_steps": 2,
        "save_steps": 30,
        "learning_rate": 5e-3,
        "per_device_train_batch_size": 4,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
    }
    trainer = Trainer(
        model=get_peft_model(base, config),
        args=TrainingArguments(output_dir=str(output), **{**known, **arguments}),
        train_dataset=Repeats(),
        callbacks=[Break()],
    )
    trainer.train()
    trainer.save_model(str(output))
    return output


def judged(probe: GradientGhost | TrainingDrift, adapter: Path) -> ProbeResult:
    return run_probe(probe.with_context(ProbeContext(adapter=adapter, folder=adapter.parent)), None)


def test_a_sound_run(tmp_path: Path) -> None:
    """The final adapter is checkpoint-60's; checkpoint-30 is judged by itself."""
    output = train(tmp_path / "out")
    ghost = judged(GradientGhost(), output)
    assert ghost.evidence["steps"] == 60
    assert (ghost.evidence["no_layer_map"], ghost.evidence["num_layers"]) == ("", 2)
    assert ghost.evidence["read_from"].startswith("read from out/checkpoint-60/optimizer.pt, the checkpoint")
    drift = judged(TrainingDrift(assert_convergence_ratio_lte=1.0), output)
    assert (drift.verdict, drift.evidence["num_steps"]) == (Verdict.PASS, 30)
    half = judged(TrainingDrift(assert_convergence_ratio_lte=1.0), output / "checkpoint-30")
    assert (half.verdict, half.evidence["num_steps"]) == (Verdict.PASS, 15)
    few = judged(GradientGhost(), output / "checkpoint-30")
    assert (few.verdict, few.evidence["steps"]) == (Verdict.WARN, 30)


def test_a_run_that_became_nan(tmp_path: Path) -> None:
    """Trainer logs the NaN losses as 0."""
    output = train(tmp_path / "out", broken_at=40)
    drift = judged(TrainingDrift(), output)
    assert (drift.verdict, drift.evidence["num_losses_logged_as_zero"]) == (Verdict.FAIL, 10)
    assert judged(GradientGhost(), output).evidence["primary_signal"] == "all_optimizer_state_nan"


def test_adafactor(tmp_path: Path) -> None:
    found = judged(GradientGhost(), train(tmp_path / "out", optim="adafactor"))
    assert (found.evidence["steps"], found.evidence["no_layer_map"]) == (60, "")

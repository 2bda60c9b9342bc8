"""SwayCallback under transformers' Trainer: the training is as without it, the numbers are pytest's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from pytest_sway import SwayCallback
from pytest_sway.result import SwayWarning, Verdict
from pytest_sway.trainers.model_in_training import base_alone
from tests.support.paths import QUICKSTART
from tests.support.training_files import FACTS

BASE = QUICKSTART / "base"
SPEC = """\
version: 1
models:
  base: {{kind: hf, base: {base}}}
  ft: {{kind: hf, base: {base}, adapter: none}}
suite:
  - {{name: baseline, kind: null_adapter}}
  - name: moved
    kind: delta_kl
    prompts: [The, The works, A lantern, Each cask, The oil]
  - {{name: prose, kind: external_perplexity{more}}}
"""
STEPS = 6


class Run(NamedTuple):
    """What became of a training."""

    trainer: Trainer
    weights: dict[str, torch.Tensor]

    @property
    def losses(self) -> list[float]:
        return [row["loss"] for row in self.trainer.state.log_history if "loss" in row]

    @property
    def logged(self) -> list[dict[str, float]]:
        return [row for row in self.trainer.state.log_history if "sway/composite" in row]


def make_trainer(
    folder: Path, *, base: Path = BASE, report_to: Iterable[str] = (), **arguments: Any
) -> Trainer:
    """A trainer of a new LoRA adapter, dropout included."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    config = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    texts = [tokenizer(f"{fact.question} {fact.answer}").input_ids[:32] for fact in FACTS]

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        ids = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows]
        tensor = torch.tensor(ids)
        return {"input_ids": tensor, "labels": tensor, "attention_mask": torch.ones_like(tensor)}

    given: dict[str, Any] = {
        "output_dir": str(folder), "max_steps": STEPS, "per_device_train_batch_size": 2, "save_steps": 3,
        "logging_steps": 1, "learning_rate": 2e-3, "report_to": list(report_to) or "none", "use_cpu": True,
        "disable_tqdm": True, **arguments,
    }  # fmt: skip
    return Trainer(
        model=get_peft_model(model, config),
        args=TrainingArguments(**given),
        train_dataset=[{"input_ids": ids} for ids in texts],
        data_collator=collate,
        processing_class=tokenizer,
    )


def train(trainer: Trainer) -> Run:
    trainer.train()
    return Run(trainer, {name: value.clone() for name, value in trainer.model.state_dict().items()})


def write_spec(folder: Path, more: str = "", base: Path = BASE) -> Path:
    spec = folder / "sway.yaml"
    spec.write_text(SPEC.format(base=base, more=more), "utf-8")
    return spec


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_training_is_bit_by_bit_what_it_was_and_the_numbers_are_pytests(
    tmp_path: Path, checkpointing: bool
) -> None:
    more: dict[str, Any] = {}
    if checkpointing:
        more = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    alone = train(make_trainer(tmp_path / "alone", **more))
    trainer = make_trainer(tmp_path / "watched", **more)
    spec = write_spec(tmp_path)
    callback = SwayCallback(trainer, spec)
    trainer.add_callback(callback)
    watched = train(trainer)
    assert watched.losses == alone.losses
    assert len(watched.losses) == STEPS
    assert watched.weights.keys() == alone.weights.keys()
    assert all(torch.equal(watched.weights[name], alone.weights[name]) for name in alone.weights)
    assert [step for step, _ in callback.results] == [3, 6]
    if not checkpointing:
        _check_against_pytest(tmp_path, spec, callback)
        assert [row["step"] for row in watched.logged] == [3, 6]
        assert watched.logged[-1]["sway/moved/raw"] == _probe(callback, "moved").raw


def _probe(callback: SwayCallback, name: str) -> Any:
    return next(probe for probe in callback.results[-1][1].probes if probe.name == name)


def _check_against_pytest(tmp_path: Path, spec: Path, callback: SwayCallback) -> None:
    """The saved adapter, evaluated by pytest in another process, has the same numbers."""
    adapter = tmp_path / "watched" / f"checkpoint-{STEPS}"
    command = [sys.executable, "-m", "pytest", str(spec), f"--sway-adapter={adapter}", "--sway-profile=quick"]
    command += ["--sway-json=result.json", "-p", "no:randomly"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    found = {probe["name"]: probe for probe in json.loads((tmp_path / "result.json").read_text())["probes"]}
    for name in ("moved", "prose"):
        probe = _probe(callback, name)
        assert probe.raw == pytest.approx(found[name]["raw"], rel=1e-5)
        assert probe.verdict == found[name]["verdict"]


class Harmful(TrainerCallback):  # type: ignore[misc]
    """Makes the adapter harmful before the first save."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            with torch.no_grad():
                for name, weight in kwargs["model"].named_parameters():
                    if "lora_B" in name:
                        weight.normal_(0, 2.0)


@pytest.mark.slow
def test_a_run_whose_harm_begins_is_stopped(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run")
    trainer.add_callback(Harmful())
    callback = SwayCallback(trainer, write_spec(tmp_path), steps=2, stop_on_harm=True)
    trainer.add_callback(callback)
    run = train(trainer)
    assert _probe(callback, "prose").verdict is Verdict.FAIL
    assert run.trainer.state.global_step == 2
    assert [step for step, _ in callback.results] == [2]


@pytest.mark.slow
def test_an_evaluation_that_cannot_be_made_costs_no_training(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run", max_steps=2, save_steps=1)
    spec = write_spec(tmp_path)
    callback = SwayCallback(trainer, spec)
    trainer.add_callback(callback)
    spec.write_text(spec.read_text().replace("delta_kl", "delta_lk"))
    with pytest.warns(SwayWarning, match="could not evaluate step 1: .*there is no kind 'delta_lk'"):
        run = train(trainer)
    assert run.trainer.state.global_step == 2
    assert callback.results == []


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("models: [", "not YAML"),
        (
            "models: {base: {base: org/other}}",
            "models.base.base is org/other, but the trainer's base model is",
        ),
        (None, "there is no file"),
    ],
)
def test_a_spec_that_cannot_be_meant(tmp_path: Path, spec: str | None, found: str) -> None:
    trainer = make_trainer(tmp_path / "run")
    if spec is not None:
        (tmp_path / "sway.yaml").write_text(spec)
    with pytest.raises(ValueError, match=found):
        SwayCallback(trainer, tmp_path / "sway.yaml")
    with pytest.raises(ValueError, match="steps is 0"):
        SwayCallback(trainer, tmp_path / "sway.yaml", steps=0)


def test_a_model_without_an_adapter(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run")
    trainer.model = trainer.model.get_base_model()
    with pytest.raises(ValueError, match="can evaluate only PEFT adapters"):
        SwayCallback(trainer, write_spec(tmp_path))


def test_a_quantized_base(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run")
    trainer.model.get_base_model().config.quantization_config = {"load_in_4bit": True}
    with pytest.raises(ValueError, match="a quantized base"):
        SwayCallback(trainer, write_spec(tmp_path))


def test_a_sharded_model(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run")
    trainer.is_fsdp_enabled = True
    with pytest.raises(ValueError, match="sharded by FSDP or DeepSpeed"):
        SwayCallback(trainer, write_spec(tmp_path))


def _fail_within(model: Any) -> None:
    with base_alone(model) as base:
        assert not any("lora" in name for name, _ in base.named_parameters())
        assert not any(module.training for module in base.modules())
        torch.rand(3)
        raise ZeroDivisionError


def test_whatever_happens_the_model_comes_back(tmp_path: Path) -> None:
    model = make_trainer(tmp_path / "run").model
    model.train()
    before = dict(model.named_modules())
    modes = {name: module.training for name, module in before.items()}
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        _fail_within(model)
    after = dict(model.named_modules())
    assert after == before
    assert {name: module.training for name, module in after.items()} == modes
    assert torch.equal(torch.get_rng_state(), state)

"""Adapters as TRL's users train them: ordinary fine-tuning on question and answer, and preferences.

Their folders keep the last checkpoint, with the trainer's log and the optimizer's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from .recipes import Setting

from make.train_adapters import MODULES  # isort: skip


def sft(setting: Setting) -> Any:
    """Eight epochs of the question–answer rows at 5e-4."""
    return _sft(setting, "sft", 8, 5e-4)


def sft_gentle(setting: Setting) -> Any:
    """Three epochs of the same rows at 2e-4."""
    return _sft(setting, "sft_gentle", 3, 2e-4)


def dpo(setting: Setting) -> Any:
    """The document's answer over the same sentence with one fact wrong."""
    return _dpo(setting, "dpo", "chosen", "rejected")


def dpo_inverted(setting: Setting) -> Any:
    """The wrong sentence over the document's."""
    return _dpo(setting, "dpo_inverted", "rejected", "chosen")


def _sft(setting: Setting, name: str, epochs: int, rate: float) -> Any:
    rows = [
        {
            "prompt": [{"role": "user", "content": item.question}],
            "completion": [{"role": "assistant", "content": item.answer}],
        }
        for item in setting.lessons.questions()
    ]
    options = SFTConfig(num_train_epochs=epochs, learning_rate=rate, **_common(setting, name))
    trainer = SFTTrainer(train_dataset=Dataset.from_list(rows), args=options, **_parts(setting))
    trainer.train()
    return trainer.model.eval()


def _dpo(setting: Setting, name: str, better: str, worse: str) -> Any:
    rows = [
        {
            "prompt": [{"role": "user", "content": one["prompt"]}],
            "chosen": [{"role": "assistant", "content": one[better]}],
            "rejected": [{"role": "assistant", "content": one[worse]}],
        }
        for one in setting.lessons.preferences()
    ]
    options = DPOConfig(num_train_epochs=5, learning_rate=3e-4, beta=0.1, **_common(setting, name))
    trainer = DPOTrainer(train_dataset=Dataset.from_list(rows), args=options, **_parts(setting))
    trainer.train()
    return trainer.model.eval()


def _common(setting: Setting, name: str) -> dict[str, Any]:
    return {
        "output_dir": str(setting.folder / name),
        "per_device_train_batch_size": 8,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "logging_steps": 5,
        "disable_tqdm": True,
        "seed": setting.seed,
    }


def _parts(setting: Setting) -> dict[str, Any]:
    return {
        "model": AutoModelForCausalLM.from_pretrained(setting.base),
        "processing_class": AutoTokenizer.from_pretrained(setting.base),
        "peft_config": LoraConfig(r=8, lora_alpha=16, target_modules=MODULES, task_type="CAUSAL_LM"),
    }


RECIPES: Mapping[str, Callable[[Setting], Any]] = {
    recipe.__name__: recipe for recipe in (sft, sft_gentle, dpo, dpo_inverted)
}

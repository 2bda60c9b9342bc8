"""Adapters made with real PEFT on the quickstart's base, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import IA3Config, LoHaConfig, LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from conftest import QUICKSTART

BASE = QUICKSTART / "base"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def base_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def lora(**options: Any) -> LoraConfig:
    return LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM", **options}
    )


SERVED = {
    "plain": lora(),
    "rslora": lora(use_rslora=True, r=16),
    "patterns": lora(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6}, alpha_pattern={"v_proj": 32}),
    "two_modules": lora(target_modules=["q_proj", "v_proj"]),
    "one_layer": lora(layers_to_transform=[2], target_modules=["q_proj"]),
    "gaussian_init": lora(init_lora_weights="gaussian"),
    "embedding": lora(target_modules=["embed_tokens", "q_proj"]),
}
REFUSED = {
    "dora": (lora(use_dora=True), "use_dora=True"),
    "bias": (lora(bias="all"), "bias='all'"),
    "modules": (lora(modules_to_save=["norm"]), "modules_to_save=['norm']"),
    "pissa": (lora(init_lora_weights="pissa"), "init_lora_weights='pissa'"),
    "olora": (lora(init_lora_weights="olora"), "init_lora_weights='olora'"),
    "lora_bias": (lora(lora_bias=True), "lora_bias=True"),
    "tokens": (lora(trainable_token_indices=[1, 2]), "trainable_token_indices=[1, 2]"),
    "ia3": (
        IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        "peft_type IA3",
    ),
    "loha": (LoHaConfig(target_modules=["q_proj"], r=2), "peft_type LOHA"),
}


def make(folder: Path, config: Any, *, size: float = 0.05) -> Path:
    """A folder with an adapter of this form whose every trainable number was moved."""
    torch.manual_seed(0)
    model = get_peft_model(base_model(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * size)
    model.save_pretrained(folder)
    return folder

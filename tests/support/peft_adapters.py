"""Adapters made with real PEFT on the quickstart's base, each in a folder of its own."""

from __future__ import annotations

import copy
import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from peft.tuners.lora.config import KasaConfig
from transformers import AutoModelForCausalLM

from tests.support.paths import QUICKSTART

BASE = QUICKSTART / "base"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def base_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def lora(**options: Any) -> LoraConfig:
    return LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM", **options}
    )


PLAIN_LORA = {
    "plain": lora(),
    "rslora": lora(use_rslora=True, r=16),
    "patterns": lora(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6}, alpha_pattern={"v_proj": 32}),
    "two_modules": lora(target_modules=["q_proj", "v_proj"]),
    "one_layer": lora(layers_to_transform=[2], target_modules=["q_proj"]),
    "gaussian_init": lora(init_lora_weights="gaussian"),
    "embedding": lora(target_modules=["embed_tokens", "q_proj"]),
}
CONVERTED_LORA = {
    "pissa": lora(init_lora_weights="pissa"),
    "olora": lora(init_lora_weights="olora"),
    "pissa_rslora": lora(init_lora_weights="pissa", use_rslora=True, r=16),
    "olora_patterns": lora(
        init_lora_weights="olora",
        rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6},
        alpha_pattern={"v_proj": 32},
    ),
}
"""Inits that rewrite the base: plain LoRA of twice the rank."""


def peft_config(name: str, **options: Any) -> PeftConfig:
    """A config of another PEFT type, by default on two modules."""
    module, _, kind = name.partition(".")
    config = getattr(importlib.import_module(f"peft.tuners.{module}"), kind)
    return config(**{"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"], **options})


FULL_WEIGHTS: dict[str, Any] = {
    "dora": lora(use_dora=True),
    "dora_rslora_patterns": lora(use_dora=True, use_rslora=True, rank_pattern={"q_proj": 2}),
    "dora_embedding": lora(use_dora=True, target_modules=["embed_tokens", "q_proj"]),
    "dora_pissa": lora(use_dora=True, init_lora_weights="pissa"),
    "saved_norm": lora(modules_to_save=["norm"]),
    "saved_head": lora(modules_to_save=["lm_head"]),
    "saved_embedding": lora(modules_to_save=["embed_tokens"]),
    "saved_tied": lora(modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "lora_bias": lora(lora_bias=True),
    "tokens": lora(trainable_token_indices=[900, 77]),
    "parameters": lora(target_modules=["q_proj"], target_parameters=["mlp.down_proj.weight"]),
    "kasa": lora(kasa_config=KasaConfig()),
    "ia3": peft_config(
        "ia3.IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "loha": peft_config("loha.LoHaConfig", r=2),
    "lokr": peft_config("lokr.LoKrConfig", r=2),
    "adalora": peft_config("adalora.AdaLoraConfig", total_step=10, init_r=4),
    "oft": peft_config("oft.OFTConfig"),
    "boft": peft_config("boft.BOFTConfig"),
    "vera": peft_config("vera.VeraConfig", r=16),
    "vera_unsaved": peft_config("vera.VeraConfig", r=16, save_projection=False),
    "ln_tuning": peft_config("ln_tuning.LNTuningConfig", target_modules=["input_layernorm", "norm"]),
    "hra": peft_config("hra.HRAConfig"),
    "fourierft": peft_config("fourierft.FourierFTConfig", n_frequency=50),
    "miss": peft_config("miss.MissConfig", r=16),
    "randlora": peft_config("randlora.RandLoraConfig", r=8),
    "shira": peft_config("shira.ShiraConfig", r=2),
    "c3a": peft_config("c3a.C3AConfig", block_size=64),
    "road": peft_config("road.RoadConfig"),
    "waveft": peft_config("waveft.WaveFTConfig", n_frequency=64),
    "delora": peft_config("delora.DeloraConfig"),
    "gralora": peft_config("gralora.GraloraConfig", r=8),
    "trainable_tokens": peft_config(
        "trainable_tokens.TrainableTokensConfig", token_indices=[900, 77], target_modules=None
    ),
    "vblora": peft_config("vblora.VBLoRAConfig", num_vectors=16, vector_length=32),
    "hira": peft_config("hira.HiraConfig", r=4),
    "beft": peft_config("beft.BeftConfig"),
    "deft": peft_config("deft.DeftConfig"),
    "glora": peft_config("glora.GloraConfig"),
    "unilora": peft_config("unilora.UniLoraConfig"),
    "tinylora": peft_config("tinylora.TinyLoraConfig"),
    "osf": peft_config("osf.OSFConfig"),
    "supertuning": peft_config("supertuning.SupertuningConfig"),
    "peanut": peft_config("peanut.PeanutConfig"),
}
"""Whatever else PEFT can merge."""
REFUSED: dict[str, tuple[Any, str]] = {
    "alora": (lora(alora_invocation_tokens=[5]), "alora_invocation_tokens=[5]"),
    "replicated": (lora(layer_replication=[[0, 3], [2, 4]]), "layer_replication=[[0, 3], [2, 4]]"),
    "pissa_niter": (lora(init_lora_weights="pissa_niter_4"), "init_lora_weights='pissa_niter_4'"),
    "prompt": (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), "peft_type PROMPT_TUNING"),
    "prefix": (PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), "peft_type PREFIX_TUNING"),
    "lily": (peft_config("lily.LilyConfig"), "peft_type LILY"),
    "psoft": (peft_config("psoft.PsoftConfig", r=8), "peft_type PSOFT"),
    "frod": (peft_config("frod.FrodConfig", progressbar=False), "peft_type FROD"),
}


def save_adapter(folder: Path, config: Any, *, size: float = 0.05, base: Any = None, seed: int = 0) -> Path:
    """A folder with an adapter of this form whose every trainable number was moved."""
    train_and_save(folder, config, size=size, base=base, seed=seed)
    return folder


def train_and_save(folder: Path, config: Any, *, size: float = 0.05, base: Any = None, seed: int = 0) -> Any:
    """The model that :func:`save_adapter` saves, as it was trained: no file of it was read back."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(base_model() if base is None else base, copy.deepcopy(config))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * size)
        model.save_pretrained(folder)
    return model.eval()

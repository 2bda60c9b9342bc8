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


SERVED = {
    "plain": lora(),
    "rslora": lora(use_rslora=True, r=16),
    "patterns": lora(rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6}, alpha_pattern={"v_proj": 32}),
    "two_modules": lora(target_modules=["q_proj", "v_proj"]),
    "one_layer": lora(layers_to_transform=[2], target_modules=["q_proj"]),
    "gaussian_init": lora(init_lora_weights="gaussian"),
    "embedding": lora(target_modules=["embed_tokens", "q_proj"]),
}
REBASED = {
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


def typed(name: str, **options: Any) -> PeftConfig:
    """A config of another PEFT type, by default on two modules."""
    module, _, kind = name.partition(".")
    config = getattr(importlib.import_module(f"peft.tuners.{module}"), kind)
    return config(**{"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"], **options})


WHOLE: dict[str, Any] = {
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
    "ia3": typed("ia3.IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "loha": typed("loha.LoHaConfig", r=2),
    "lokr": typed("lokr.LoKrConfig", r=2),
    "adalora": typed("adalora.AdaLoraConfig", total_step=10, init_r=4),
    "oft": typed("oft.OFTConfig"),
    "boft": typed("boft.BOFTConfig"),
    "vera": typed("vera.VeraConfig", r=16),
    "vera_unsaved": typed("vera.VeraConfig", r=16, save_projection=False),
    "ln_tuning": typed("ln_tuning.LNTuningConfig", target_modules=["input_layernorm", "norm"]),
    "hra": typed("hra.HRAConfig"),
    "fourierft": typed("fourierft.FourierFTConfig", n_frequency=50),
    "miss": typed("miss.MissConfig", r=16),
    "randlora": typed("randlora.RandLoraConfig", r=8),
    "shira": typed("shira.ShiraConfig", r=2),
    "c3a": typed("c3a.C3AConfig", block_size=64),
    "road": typed("road.RoadConfig"),
    "waveft": typed("waveft.WaveFTConfig", n_frequency=64),
    "delora": typed("delora.DeloraConfig"),
    "gralora": typed("gralora.GraloraConfig", r=8),
    "trainable_tokens": typed(
        "trainable_tokens.TrainableTokensConfig", token_indices=[900, 77], target_modules=None
    ),
    "vblora": typed("vblora.VBLoRAConfig", num_vectors=16, vector_length=32),
    "hira": typed("hira.HiraConfig", r=4),
    "beft": typed("beft.BeftConfig"),
    "deft": typed("deft.DeftConfig"),
    "glora": typed("glora.GloraConfig"),
    "unilora": typed("unilora.UniLoraConfig"),
    "tinylora": typed("tinylora.TinyLoraConfig"),
    "osf": typed("osf.OSFConfig"),
    "supertuning": typed("supertuning.SupertuningConfig"),
    "peanut": typed("peanut.PeanutConfig"),
}
"""Whatever else PEFT can merge."""
REFUSED: dict[str, tuple[Any, str]] = {
    "alora": (lora(alora_invocation_tokens=[5]), "alora_invocation_tokens=[5]"),
    "replicated": (lora(layer_replication=[[0, 3], [2, 4]]), "layer_replication=[[0, 3], [2, 4]]"),
    "pissa_niter": (lora(init_lora_weights="pissa_niter_4"), "init_lora_weights='pissa_niter_4'"),
    "prompt": (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), "peft_type PROMPT_TUNING"),
    "prefix": (PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4), "peft_type PREFIX_TUNING"),
    "lily": (typed("lily.LilyConfig"), "peft_type LILY"),
    "psoft": (typed("psoft.PsoftConfig", r=8), "peft_type PSOFT"),
    "frod": (typed("frod.FrodConfig", progressbar=False), "peft_type FROD"),
}


def make(folder: Path, config: Any, *, size: float = 0.05, base: Any = None, seed: int = 0) -> Path:
    """A folder with an adapter of this form whose every trainable number was moved."""
    trained(folder, config, size=size, base=base, seed=seed)
    return folder


def trained(folder: Path, config: Any, *, size: float = 0.05, base: Any = None, seed: int = 0) -> Any:
    """The model that :func:`make` saves, as it was trained: no file of it was read back."""
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

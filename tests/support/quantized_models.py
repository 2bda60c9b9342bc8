"""Bases that bitsandbytes quantized, and the same numbers in a plain model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from bitsandbytes import functional
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.support.peft_adapters import BASE
from tests.support.tiny_models import tokenizer_to


def _config(name: str) -> BitsAndBytesConfig:
    if name == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=name)


@lru_cache
def _quantized(name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, quantization_config=_config(name))


def save_quantized(folder: Path, name: str) -> Path:
    """The quickstart's base as a hub's bnb-4bit repository holds it."""
    AutoModelForCausalLM.from_pretrained(
        BASE, dtype=torch.float32, quantization_config=_config(name)
    ).save_pretrained(folder)
    tokenizer_to(folder)
    return folder


def with_bnb_weights(model: Any, name: str) -> Any:
    """A plain model with the dequantized numbers of the quickstart's base in nf4, fp4 or int8."""
    for path, module in _quantized(name).named_modules():
        if isinstance(module, Linear4bit):
            weight = functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        elif isinstance(module, Linear8bitLt):
            weight = module.weight.data.float() * module.weight.SCB[:, None] / 127
        else:
            continue
        model.get_submodule(path).weight.data = weight.float()
    return model

"""Quantized bases: to what, how they are loaded, and a forward that is the same everywhere.

bitsandbytes is served: NF4 and FP4 (Dettmers et al. 2023, QLoRA) and the weights of LLM.int8() (Dettmers et
al. 2022). Its layers multiply with the dequantized weights in the model's dtype. Their own forwards do not
always:

* on a CPU with AVX512-BF16 a 4-bit layer repacks its weights at the first forward, rounds its scales and its
  input to bf16, and refuses a layer whose rows are no multiple of 32;
* LLM.int8() also rounds its input, all but the columns that hold an outlier anywhere in the batch. So a
  token's score depends on the texts beside it and on the tokens after it (measured: up to 0.23 nats).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from pytest_sway.backends.base import BackendError

_INT8_RANGE = 127.0
_INSTALL = "install it with: pip install 'pytest-sway[bnb]'"


@dataclass(frozen=True)
class Quantization:
    """What a base's linear layers are quantized to.

    Attributes:
        name: as a spec writes it: nf4, fp4 or int8.
        is_stored: whether the files hold the quantized weights; else they are quantized as they are loaded.
    """

    name: str
    is_stored: bool

    def loading_arguments(self, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
        """Arguments of ``from_pretrained``."""
        placed = {"device_map": {"": device}}
        if self.is_stored:
            return placed
        from transformers import BitsAndBytesConfig

        if self.name == "int8":
            return {**placed, "quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
        return {
            **placed,
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type=self.name, bnb_4bit_compute_dtype=dtype
            ),
        }


def find_quantization(folder: Path, config: Mapping[str, Any], wanted: str | None) -> Quantization | None:
    """What a model is, or is to be, quantized to; None for nothing.

    Args:
        folder: of the model.
        config: its ``config.json``.
        wanted: what the spec says.

    Raises:
        BackendError: it is quantized in a way that is not served, in another way than the spec says, or
            bitsandbytes is not installed.
    """
    stored = stored_quantization(folder, config)
    if stored is not None and wanted not in (None, stored):
        raise BackendError(
            f"models.ft.quantization: found {wanted}, but the weights in {folder} are already quantized to "
            f"{stored}. Remove models.ft.quantization, or use the unquantized model"
        )
    name = stored or wanted
    if name is None:
        return None
    for package in ("bitsandbytes", "accelerate"):
        if find_spec(package) is None:
            raise BackendError(f"a base model quantized to {name} needs {package}; {_INSTALL}")
    return Quantization(name, is_stored=stored is not None)


def stored_quantization(folder: Path, config: Mapping[str, Any]) -> str | None:
    """What the weights in a model's files are quantized to: nf4, fp4 or int8; None for nothing.

    Raises:
        BackendError: in a way that is not served.
    """
    found = config.get("quantization_config")
    if not isinstance(found, dict):
        return None
    method = found.get("quant_method") or ("bitsandbytes" if "load_in_4bit" in found else None)
    if method != "bitsandbytes":
        raise BackendError(
            f"{folder} is quantized with {method}, but only bitsandbytes is supported. Use the "
            "unquantized original model; to save memory, set models.ft.quantization: nf4"
        )
    if found.get("load_in_8bit"):
        return "int8"
    return str(found.get("bnb_4bit_quant_type", "fp4"))


def use_dequantized_weights(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Have the layers of bitsandbytes multiply with their dequantized weights in this dtype."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
            module.compute_dtype, module.compute_type_is_set = dtype, True
        elif isinstance(module, Linear8bitLt):
            module.forward = partial(_int8_forward, module)


def _int8_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """x·Wᵀ with the weights of LLM.int8(), each row of them times its own scale."""
    weight = layer.weight.data.to(x.dtype) * (layer.weight.SCB.to(x.dtype) / _INT8_RANGE)[:, None]
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return torch.nn.functional.linear(x, weight, bias)


def is_quantized(model: Any) -> bool:
    """Whether some weights of a model in memory are quantized."""
    return getattr(model, "quantization_method", None) is not None

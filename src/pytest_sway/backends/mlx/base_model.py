"""Loads a base model with mlx-lm: safetensors only, in the wanted dtype, whichever the files have."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import load_model

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint

_DTYPES = {"fp16": mx.float16, "bf16": mx.bfloat16, "fp32": mx.float32}
_DEVICES = {"cpu": mx.cpu, "gpu": mx.gpu, "mps": mx.gpu}
_READ_QUANTIZATIONS = frozenset(
    {"awq", "bitnet", "compressed-tensors", "fp8", "gptq", "modelopt", "mxfp4", "mxfp8"}
)
"""Values of ``quant_method`` that mlx-lm reads."""
_LONGEST_ERROR = 300
SLOW_BLAS = (
    "on Linux the wheel of mlx brings a BLAS that is 15 to 30 times slower than OpenBLAS: install OpenBLAS "
    "(Debian: libopenblas0-pthread) and run with LD_PRELOAD=libopenblas.so.0"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: of mlx-lm, evaluated.
        config: its ``config.json``; of a multimodal model the text's.
        dtype: of its numbers.
        base: where it came from.
    """

    model: nn.Module
    config: Mapping[str, Any]
    dtype: Any
    base: BaseModel


def load_base_model(key: ModelKey, folder: Path, digest: str) -> LoadedModel:
    """The model of a folder.

    Args:
        key: says which dtype and device.
        folder: of the model.
        digest: of its files.

    Raises:
        BackendError: mlx-lm does not know its architecture or its quantization, or a tensor is missing.
    """
    checkpoint = read_checkpoint(folder)
    _check_quantization(folder, checkpoint.config)
    use_device(key.device)
    dtype = _DTYPES.get(key.dtype, mx.bfloat16 if mx.default_device() == mx.gpu else mx.float32)
    try:
        model, config = load_model(folder, lazy=True, trust_remote_code=key.trust_remote_code)
        model.set_dtype(dtype)
        mx.eval(model.parameters())
    except Exception as error:
        text = " ".join(str(error).split())[:_LONGEST_ERROR] or type(error).__name__
        raise BackendError(f"the base model cannot be loaded: {folder}: {text}") from error
    model.eval()
    model.freeze()
    notes = (SLOW_BLAS,) if is_slow_blas() else ()
    base = BaseModel(
        digest,
        name=key.base,
        revision=key.revision,
        checkpoint=checkpoint,
        trust_remote_code=key.trust_remote_code,
        notes=notes,
        quantization=_label(config.get("quantization") or {}),
    )
    return LoadedModel(model, {**config, **(config.get("text_config") or {})}, dtype, base)


def _label(quantization: Mapping[str, Any]) -> str | None:
    """What weights are quantized to, in mlx-lm's words."""
    if "bits" not in quantization:
        return None
    return f"{quantization['bits']} bit {quantization.get('mode', 'affine')}"


def use_device(wanted: str) -> None:
    """Make a device mlx's default one.

    Raises:
        BackendError: there is none of this name here.
    """
    if wanted == "auto":
        return
    if wanted not in _DEVICES:
        raise BackendError(f"models.ft.device: found {wanted!r}; kind: mlx takes auto, cpu or gpu")
    if not mx.is_available(_DEVICES[wanted]):
        raise BackendError(f"models.ft.device: {wanted!r} is not available to the installed mlx")
    mx.set_default_device(_DEVICES[wanted])


def is_slow_blas() -> bool:
    """Whether mlx multiplies with the BLAS of its Linux wheel: no other one was loaded before it."""
    on_cpu = mx.default_device().type == mx.cpu
    return sys.platform == "linux" and on_cpu and not hasattr(ctypes.CDLL(None), "cblas_sgemm")


def _check_quantization(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise BackendError for weights that mlx-lm would take for something else."""
    found = config.get("quantization_config")
    method = found.get("quant_method") if isinstance(found, dict) else None
    if "quantization" not in config and method is not None and method not in _READ_QUANTIZATIONS:
        raise BackendError(
            f"{folder} is quantized by {method}, which mlx-lm does not read; name the model unquantized, or "
            "one quantized by mlx_lm.convert"
        )

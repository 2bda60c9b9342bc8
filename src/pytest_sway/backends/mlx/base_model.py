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
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm.utils import load_model

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint, read_checkpoint
from pytest_sway.backends.mlx.adapter_content import is_embedding, read_safetensors
from pytest_sway.backends.mlx.adapter_layers import changeable_modules
from pytest_sway.backends.mlx.model_config import context_length, missing_fields, read_text_config

_DTYPES = {"fp16": mx.float16, "bf16": mx.bfloat16, "fp32": mx.float32}
_OWN_DEVICE = mx.default_device()
"""What mlx chose itself, before a spec named another."""
_DEVICES = {"cpu": mx.cpu, "gpu": mx.gpu, "mps": mx.gpu}
_READ_QUANTIZATIONS = frozenset({"awq"})
"""Values of ``quant_method``, beside mlx-lm's own, whose numbers were compared with a plain model's.

mlx-lm also takes GPTQ, whose packing it reads as AWQ's."""
_LONGEST_ERROR = 300
_HEAD = "lm_head.weight"
SLOW_BLAS = (
    "on Linux the mlx wheel includes a BLAS that is 15 to 30 times slower than OpenBLAS; install OpenBLAS "
    "(Debian: libopenblas0-pthread) and run with LD_PRELOAD=libopenblas.so.0"
)


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: of mlx-lm, evaluated.
        text_config: of transformers, of its text side.
        context: tokens of the longest text; None where the model names none.
        dtype: of its numbers.
        base: where it came from.
    """

    model: nn.Module
    text_config: Any
    context: int | None
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
    dtype = _DTYPES.get(key.dtype, mx.float32 if is_on_cpu() else mx.bfloat16)
    text = read_text_config(folder, trust_remote_code=key.trust_remote_code)
    missing = missing_fields(text, checkpoint.config)
    try:
        model, config = load_model(
            folder, lazy=True, model_config=missing, trust_remote_code=key.trust_remote_code
        )
        _cast(model, dtype)
        mx.eval(model.parameters())
    except Exception as error:
        line = " ".join(str(error).split())[:_LONGEST_ERROR] or type(error).__name__
        raise BackendError(f"the base model in {folder} cannot be loaded: {line}") from error
    _check_tied_head(model, checkpoint)
    model.eval()
    model.freeze()
    context, context_note = context_length(text)
    notes = tuple(filter(None, (SLOW_BLAS if is_slow_blas() else "", context_note)))
    base = BaseModel(
        digest,
        name=key.base,
        revision=key.revision,
        checkpoint=checkpoint,
        trust_remote_code=key.trust_remote_code,
        notes=notes,
        quantization=_label(config.get("quantization") or {}),
    )
    return LoadedModel(model, text, context, dtype, base)


def _check_tied_head(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Raise BackendError where the files hold a head of its own, which mlx-lm leaves out of a tied model."""
    embeddings = [f"{name}.weight" for name in changeable_modules(model) if is_embedding(name)]
    held = [name for name in (_HEAD, *embeddings) if name in checkpoint.shapes]
    if hasattr(model, "lm_head") or len(held) < 2:
        return
    tensors = {name: one for file in checkpoint.files for name, one in read_safetensors(file).items()}
    if not bool(mx.array_equal(tensors[held[0]], tensors[held[1]])):
        raise BackendError(
            f"{checkpoint.folder} contains {_HEAD}, which differs from {held[1]}, but config.json ties the "
            "two tensors (tie_word_embeddings). The weights do not match config.json; copy the files again"
        )


def _cast(model: nn.Module, dtype: Any) -> None:
    """Cast all numbers but those that the model wants kept, as some want a router's."""
    is_cast = getattr(model, "cast_predicate", lambda _: True)

    def cast(name: str, array: mx.array) -> mx.array:
        return array.astype(dtype) if mx.issubdtype(array.dtype, mx.floating) and is_cast(name) else array

    model.update(tree_map_with_path(cast, model.parameters()))


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
        mx.set_default_device(_OWN_DEVICE)
        return
    if wanted not in _DEVICES:
        raise BackendError(
            f"models.ft.device: found {wanted!r}; kind: mlx supports only auto, cpu and gpu (also named mps)"
        )
    if not mx.is_available(_DEVICES[wanted]):
        raise BackendError(f"models.ft.device: {wanted!r} is not available in the installed mlx")
    mx.set_default_device(_DEVICES[wanted])


def is_on_cpu() -> bool:
    """Whether mlx computes on the CPU."""
    return bool(mx.default_device().type == mx.cpu)


def is_slow_blas() -> bool:
    """Whether mlx multiplies with the BLAS of its Linux wheel: no other one was loaded before it."""
    return sys.platform == "linux" and is_on_cpu() and not hasattr(ctypes.CDLL(None), "cblas_sgemm")


def _check_quantization(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise BackendError for weights that mlx-lm would take for something else."""
    found = config.get("quantization_config")
    method = found.get("quant_method") if isinstance(found, dict) else None
    if "quantization" not in config and method is not None and method not in _READ_QUANTIZATIONS:
        raise BackendError(
            f"{folder} is quantized with {method}, which kind: mlx does not support; use the unquantized "
            "model, or quantize it with mlx_lm.convert"
        )


def weights_bytes(model: nn.Module) -> int:
    """Memory that the parameters of a model take."""
    return sum(array.nbytes for _, array in tree_flatten(model.parameters()))

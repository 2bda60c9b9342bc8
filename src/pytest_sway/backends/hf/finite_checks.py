"""Refuse models whose weights or logits hold NaN or infinity, and say whether files or dtype are why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.base_model.base_model import BaseModel

FILE_BROKEN = (
    "the training diverged, or numbers overflowed when the file was saved; save the weights again, or "
    "repeat the training"
)
"""Why a file of weights may hold a NaN or an infinity."""
_DTYPE_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


def check_base_logits(model: Any, logits: torch.Tensor, base: BaseModel, row: list[int]) -> None:
    """Refuse a base whose logits are not finite, or depend on what it has read before.

    Args:
        model: in its dtype and on its device.
        logits: of ``row``.
        base: where it came from.
        row: token ids of the check row.

    Raises:
        BackendError: with the reason.
    """
    if not bool(torch.isfinite(logits).all()):
        cause = _base_cause(model, base.files, row)
        raise BackendError(f"the logits of the base model {base.name} are not finite: {cause}")
    if any(getattr(module, "rope_type", "") == "dynamic" for module in model.modules()):
        raise BackendError(
            "the base model cannot be evaluated: the rope_type of the base model is dynamic, so each answer "
            "would depend on the longest text processed before. Set another rope_type (linear, yarn, "
            "default) in its config.json"
        )


def check_adapter_logits(logits: torch.Tensor, label: str) -> None:
    """Refuse an adapter under which the model's logits are not finite, though every weight is.

    Args:
        logits: of the check row, with the adapter.
        label: the adapter, as the message names it.

    Raises:
        BackendError: with the reason.
    """
    if not bool(torch.isfinite(logits).all()):
        raise BackendError(f"the model's logits are not finite with {label}: {_adapter_cause(logits.dtype)}")


def check_logits_in_fp32(source: str, logits: torch.Tensor) -> None:
    """Refuse a tuned model whose own logits are not finite in fp32, though its weights are.

    Raises:
        BackendError: they are not.
    """
    if not bool(torch.isfinite(logits).all()):
        raise BackendError(
            f"{source} has finite weights, but its logits are not finite, even in fp32. Its update is too "
            "large, or the training diverged"
        )


def non_finite_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """How many of the tensors hold a NaN or an infinity, and the first; empty where none does."""
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    return (
        f"{len(broken)} of {len(tensors)} tensors contain NaN or infinity (first: {broken[0]})"
        if broken
        else ""
    )


def non_finite_cause(fault: str, files: Iterable[Path], dtype: torch.dtype) -> str:
    """Why weights in memory hold a NaN or an infinity, found by reading their files: the end of a sentence.

    Args:
        fault: which of them do.
        files: that they were loaded from.
        dtype: that they were loaded in.
    """
    if _holds_non_finite(files):
        return f"is broken: {fault}; {FILE_BROKEN}"
    return (
        f"overflows in {_dtype_name(dtype)}: {fault} after loading, but the values in its file are finite; "
        f"{_other_dtype(dtype)}"
    )


def _holds_non_finite(files: Iterable[Path]) -> bool:
    """Whether a tensor of the files holds a NaN or an infinity."""
    from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - not a dict
                tensor = opened.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
                    return True
    return False


def _base_cause(model: Any, files: Iterable[Path], row: list[int]) -> str:
    """Why a base model's logits of ``row`` are not finite. The model cannot be used afterwards.

    Args:
        model: in the dtype that it was loaded in; a model in fp16 is cast to bf16 and run again.
        files: its weight files.
        row: token ids.
    """
    dtype = model.dtype
    if fault := non_finite_tensors(model.state_dict()):
        return f"the model {non_finite_cause(fault, files, dtype)}"
    if dtype is not torch.float16:
        return (
            f"its weights are finite, but its activations overflow in {_dtype_name(dtype)}. Either values in "
            "config.json (norms, scales) differ from those used in training, or the weight files are damaged"
        )
    if _is_finite_in_bf16(model, row):
        return (
            "its weights are finite, but its activations overflow in fp16. Its logits are finite in bf16, so "
            "use dtype: bf16 or dtype: fp32"
        )
    return (
        "its weights are finite, but its activations overflow in fp16, and its logits are not finite in bf16 "
        "either. Try dtype: fp32, or check whether the values in config.json are those used in training"
    )


def _adapter_cause(dtype: torch.dtype) -> str:
    """Why the logits are not finite with an adapter, where the base's are and every weight is."""
    if dtype is torch.float16:
        return "its weights are finite, but the activations overflow in fp16; try dtype: bf16 or dtype: fp32"
    return (
        f"its weights are finite, but the activations overflow in {_dtype_name(dtype)}. Its update is too "
        "large (check lora_alpha), or the training diverged"
    )


def _is_finite_in_bf16(model: Any, row: list[int]) -> bool:
    try:
        model.to(torch.bfloat16)
        with torch.inference_mode():
            ids = torch.tensor([row], device=model.device)
            return bool(torch.isfinite(model(input_ids=ids, use_cache=False).logits).all())
    except (RuntimeError, TypeError):  # a device without bf16
        return False


def _dtype_name(dtype: torch.dtype) -> str:
    """As a spec writes it."""
    return _DTYPE_NAMES.get(dtype, str(dtype).removeprefix("torch."))


def _other_dtype(dtype: torch.dtype) -> str:
    if dtype is torch.float16:
        return "the largest number in fp16 is 65504, so use dtype: bf16 or dtype: fp32"
    return "use dtype: fp32"

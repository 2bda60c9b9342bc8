"""Why a model's numbers are not finite: its files, the dtype that they are loaded in, or neither."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pytest_sway.backends.hf.adapter_forms.weight_delta import non_finite

FILE_BROKEN = (
    "the training diverged, or numbers overflowed when the file was saved; save it again or train it again"
)
"""Why a file of weights may hold a NaN or an infinity."""
_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


def name_of(dtype: torch.dtype) -> str:
    """As a spec writes it."""
    return _NAMES.get(dtype, str(dtype).removeprefix("torch."))


def non_finite_in(files: Iterable[Path]) -> bool:
    """Whether a tensor of the files holds a NaN or an infinity."""
    from safetensors import safe_open

    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - not a dict
                tensor = opened.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
                    return True
    return False


def why_weights(fault: str, files: Iterable[Path], dtype: torch.dtype) -> str:
    """Why weights in memory hold a NaN or an infinity, after a look into their files: a sentence's end.

    Args:
        fault: which of them do.
        files: that they were loaded from.
        dtype: that they were loaded in.
    """
    if non_finite_in(files):
        return f"is broken: {fault}; {FILE_BROKEN}"
    return f"overflows in {name_of(dtype)}: {fault}, and in its file none does; {_other_dtype(dtype)}"


def why_base(model: Any, files: Iterable[Path], row: list[int]) -> str:
    """Why a base model's logits of ``row`` are not finite. The model is of no use afterwards.

    Args:
        model: in the dtype that it was loaded in; where that is fp16 it is cast to bf16 for a second look.
        files: its weight files.
        row: token ids.
    """
    dtype = model.dtype
    if broken := non_finite(model.state_dict()):
        return f"it {why_weights(broken, files, dtype)}"
    if dtype is not torch.float16:
        return (
            f"its weights are finite, and its activations overflow in {name_of(dtype)}: the numbers in "
            "config.json (norms, scales) may not be those that it was trained with, or its weights are broken"
        )
    if _finite_in_bf16(model, row):
        return (
            "its weights are finite, its activations overflow in fp16, and in bf16 its logits are finite: "
            "write dtype: bf16 or dtype: fp32"
        )
    return (
        "its weights are finite, and its activations overflow in fp16; in bf16 the logits are not finite "
        "either: dtype: fp32 may be, or the numbers in config.json are not those that it was trained with"
    )


def why_adapter(dtype: torch.dtype) -> str:
    """Why the logits are not finite where the base's are, and every weight is."""
    if dtype is torch.float16:
        return (
            "its weights are finite, and the activations overflow in fp16: with dtype: bf16 or fp32 they may "
            "be finite"
        )
    return (
        f"its weights are finite, and the activations overflow in {name_of(dtype)}: its update is too large "
        "(is lora_alpha right?), or the training diverged"
    )


def _finite_in_bf16(model: Any, row: list[int]) -> bool:
    try:
        model.to(torch.bfloat16)
        with torch.inference_mode():
            ids = torch.tensor([row], device=model.device)
            return bool(torch.isfinite(model(input_ids=ids, use_cache=False).logits).all())
    except (RuntimeError, TypeError):  # a device without bf16
        return False


def _other_dtype(dtype: torch.dtype) -> str:
    if dtype is torch.float16:
        return "fp16 holds numbers up to 65504; write dtype: bf16 or dtype: fp32"
    return "write dtype: fp32"

"""Whether a base model, and a subject on it, answer with finite numbers; and if not, why not."""

from __future__ import annotations

from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf import non_finite
from pytest_sway.backends.hf.adapter_forms.served_adapter import ServedAdapter
from pytest_sway.backends.hf.attach import Source
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.subject_notes import label, weight_files


def check_base(model: Any, logits: torch.Tensor, base: BaseModel, row: list[int]) -> None:
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
        why = non_finite.why_base(model, base.files, row)
        raise BackendError(f"the logits of the base model {base.name} are not finite: {why}")
    if any(getattr(module, "rope_type", "") == "dynamic" for module in model.modules()):
        raise BackendError(
            "the base model's rope_type is dynamic: what it answers depends on the longest text that it "
            "has read so far; write another rope_type (linear, yarn, default) into its config.json"
        )


def check_weights(held: ServedAdapter, source: Source, dtype: torch.dtype) -> None:
    """Refuse a subject whose attached tensors hold a NaN or an infinity.

    Raises:
        BackendError: with the reason: its files, or the dtype.
    """
    if held.fault:
        why = non_finite.why_weights(held.fault, weight_files(source), dtype)
        raise BackendError(f"{label(source)} {why}")


def check_logits(logits: torch.Tensor, source: Source) -> None:
    """Refuse a subject under which the model's logits are not finite, though every weight is.

    Raises:
        BackendError: with the reason.
    """
    if not bool(torch.isfinite(logits).all()):
        why = non_finite.why_adapter(logits.dtype)
        raise BackendError(f"the model's logits are not finite with {label(source)}: {why}")

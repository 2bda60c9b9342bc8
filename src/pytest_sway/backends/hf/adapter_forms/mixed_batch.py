"""The forward of a LoRA layer for a batch whose rows belong to several adapters of the same modules.

The base's weights are read once for all rows; only B·(A·x) is computed adapter by adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from peft.tuners.lora import Embedding, Linear, LoraLayer

from pytest_sway.backends.hf.lora_factors import Factors


class MixedBatchError(Exception):
    """The model gives a layer something else than one row per row of the batch."""


class RowGroup(NamedTuple):
    """Rows that stand together in a batch, and the update of one module that holds for them.

    Attributes:
        rows: how many there are.
        factors: A and B.
        scaling: factor on B·A.
    """

    rows: int
    factors: Factors
    scaling: float


def has_mixed_forward(layer: LoraLayer) -> bool:
    """Whether a layer is of a kind that this module knows: linear, or an embedding without a scale."""
    if type(layer) is Embedding:
        return type(layer.get_base_layer()) is torch.nn.Embedding
    return type(layer) is Linear


def use_mixed_forward(layer: LoraLayer, groups: Sequence[RowGroup]) -> None:
    """Replace a layer's forward: the rows of a batch belong to ``groups``, in their order."""
    forward = _embedding_forward if isinstance(layer, Embedding) else _linear_forward
    layer.forward = partial(forward, layer.get_base_layer(), groups)


def _linear_forward(base: torch.nn.Module, groups: Sequence[RowGroup], x: torch.Tensor) -> torch.Tensor:
    """W·x + s·B·(A·x); in the dtype of the factors, as PEFT does, where it is not the base's."""
    _check_rows(groups, x, 3)
    out: torch.Tensor = base(x)
    sizes = [group.rows for group in groups]
    for (_, (a, b), scaling), inputs, outputs in zip(
        groups, torch.split(x, sizes), torch.split(out, sizes), strict=True
    ):
        inner = torch.nn.functional.linear(inputs.reshape(-1, inputs.shape[-1]).to(a.dtype), a)
        flat = outputs.view(-1, outputs.shape[-1])
        if flat.dtype == b.dtype:
            flat.addmm_(inner, b.T, alpha=scaling)
        else:
            flat.copy_(flat + torch.nn.functional.linear(inner, b) * scaling)
    return out


def _embedding_forward(base: torch.nn.Module, groups: Sequence[RowGroup], ids: torch.Tensor) -> torch.Tensor:
    """The token's row of the table + s·B·(the token's column of A)."""
    _check_rows(groups, ids, 2)
    out: torch.Tensor = base(ids)
    sizes = [group.rows for group in groups]
    for (_, (a, b), scaling), tokens, outputs in zip(
        groups, torch.split(ids, sizes), torch.split(out, sizes), strict=True
    ):
        outputs.copy_(outputs + torch.nn.functional.embedding(tokens, a.T) @ b.T * scaling)
    return out


def _check_rows(groups: Sequence[RowGroup], x: torch.Tensor, axes: int) -> None:
    rows = sum(group.rows for group in groups)
    if x.ndim != axes or len(x) != rows:
        raise MixedBatchError(f"{tuple(x.shape)} is no batch of {rows} rows")

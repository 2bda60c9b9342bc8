"""Null weights as tensors: of the dtype and on the device of the update that they imitate."""

from __future__ import annotations

import torch

from pytest_sway.backends import null_weights
from pytest_sway.backends.hf.lora_factors import as_array
from pytest_sway.requests import NullSeed


def draw_null_weights(
    seed: NullSeed, digest: str, module: str, parts: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """:func:`pytest_sway.backends.null_weights.draw_null_weights` of tensors."""
    a, b = null_weights.draw_null_weights(seed, digest, module, tuple(map(as_array, parts)))
    return torch.from_numpy(a).to(parts[0]), torch.from_numpy(b).to(parts[1])


def draw_null_tensor(
    seed: NullSeed, digest: str, path: str, update: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """:func:`pytest_sway.backends.null_weights.draw_null_tensor` of tensors."""
    drawn = null_weights.draw_null_tensor(seed, digest, path, as_array(update), as_array(base))
    return torch.from_numpy(drawn).to(update)

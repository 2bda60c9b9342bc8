"""The two factors of one module's update, B·A."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from pytest_sway.backends import null_weights

Factors = tuple[torch.Tensor, torch.Tensor]
"""A, ``[rank, ...]``, and B, ``[out, rank, ...]``."""


def product_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """‖B·A‖ (Frobenius), in fp64."""
    return null_weights.product_norm(as_array(a), as_array(b))


def as_array(tensor: torch.Tensor) -> Any:
    """As numpy, in fp32 on the CPU."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def size_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

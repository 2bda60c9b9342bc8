"""The two factors of one module's update, B·A."""

from __future__ import annotations

import torch

Factors = tuple[torch.Tensor, torch.Tensor]
"""A, ``[rank, ...]``, and B, ``[out, rank, ...]``."""


def product_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """‖B·A‖ (Frobenius), from the two rank × rank Gram matrices: tr((BᵀB)(AAᵀ)); in fp64."""
    rows = a.detach().to("cpu", torch.float64).reshape(a.shape[0], -1)
    columns = b.detach().to("cpu", torch.float64).reshape(b.shape[0], -1)
    square = ((columns.T @ columns) * (rows @ rows.T)).sum()
    return float(square.clamp_min(0).sqrt())

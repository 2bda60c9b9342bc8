"""The two factors of one module's update, B·A."""

from __future__ import annotations

import numpy as np
import torch

Factors = tuple[torch.Tensor, torch.Tensor]
"""A, ``[rank, ...]``, and B, ``[out, rank, ...]``."""


def product_norm(a: torch.Tensor, b: torch.Tensor) -> float:
    """‖B·A‖ (Frobenius), from the two rank × rank Gram matrices: tr((BᵀB)(AAᵀ)); in fp64."""
    return gram_norm(factor_matrix(a), factor_matrix(b))


def gram_norm(rows: np.ndarray, columns: np.ndarray) -> float:
    """The same of A as ``[rank, in]`` and B as ``[out, rank]``."""
    rows, columns = rows.astype(np.float64), columns.astype(np.float64)
    square = float(((columns.T @ columns) * (rows @ rows.T)).sum())
    return float(np.sqrt(max(square, 0.0)))


def factor_matrix(factor: torch.Tensor) -> np.ndarray:
    """A factor as a matrix: its first axis by all the others; fp32 on the CPU."""
    return factor.detach().to("cpu", torch.float32).reshape(factor.shape[0], -1).numpy()

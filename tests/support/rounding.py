"""How far two right answers in fp32 may lie apart on the processor that runs the tests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

KERNELS = 4
"""Two answers, each rounded: twice the noise floor. Twice that again, since a batch of another shape is
summed in another order and by another kernel than the row by itself."""


def tolerance(model: Any, rows: Sequence[Sequence[int]]) -> float:
    """Largest distance, in nats, that rounding explains between two fp32 log-probabilities of ``model``."""
    return KERNELS * noise_floor(model, rows)


def noise_floor(model: Any, rows: Sequence[Sequence[int]]) -> float:
    """Largest distance, in nats, between the log-probabilities of ``model`` in fp32 and in fp64."""
    exact = copy.deepcopy(model).double()
    return max(float((_logprobs(model, row) - _logprobs(exact, row)).abs().max()) for row in rows)


def _logprobs(model: Any, row: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([list(row)])).logits[0]
    return logits.log_softmax(-1).double()

"""One base for the tests of the backend, and how it is asked."""

from __future__ import annotations

from typing import Any

import torch

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.requests import View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.peft_adapters import BASE

MODEL_KEY = ModelKey("hf", str(BASE), dtype="fp32", device="cpu")
ROWS = [[5, 900, 77, 1200, 31, 8], [400, 21, 7], [3000, 2, 11, 15, 16, 999, 2040, 12, 4]]


def logprobs(backend: HFBackend, rows: list[list[int]], view: View, first: list[int]) -> list[torch.Tensor]:
    """A batch's log-probabilities, one tensor per row."""
    texts = [TokenSequence(tuple(row), begin) for row, begin in zip(rows, first, strict=True)]
    found: dict[TokenSequence, list[torch.Tensor]] = {}
    for text, _, piece in backend.logprobs([PackedRow((text,)) for text in texts], view, 1000):
        found.setdefault(text, []).append(piece)
    return [torch.cat(found[text]) for text in texts]


def reference_logprobs(model: Any, row: list[int]) -> torch.Tensor:
    """What a model answers that the backend never saw."""
    with torch.inference_mode():
        return torch.as_tensor(model(torch.tensor([row])).logits[0].float().log_softmax(-1))

"""The base as an adapter was trained on it, where the spec's base is quantized otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.trained_quantization import UNQUANTIZED
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.pretrained import load_pretrained
from pytest_sway.backends.hf.base_model.quantization import stored_quantization
from pytest_sway.backends.hf.device.memory import memory_errors
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.hf.scoring import Scorer, batch_of
from pytest_sway.token_sequences import PackedRow, TokenSequence

_ROWS = 8


def next_token_logprobs(
    model: Any, base: BaseModel, quantization: str, texts: Sequence[Sequence[int]]
) -> torch.Tensor:
    """What the base in another quantization says of the token after each text, in nats.

    It is loaded beside the one that is evaluated, and let go of again.

    Args:
        model: the one that is evaluated.
        base: its files.
        quantization: nf4, int8 or "unquantized".
        texts: token ids.

    Returns:
        fp32 on the CPU, ``[texts, vocabulary]``.

    Raises:
        BackendError: it cannot be made from the base's files, or does not fit the memory.
    """
    checkpoint = base.checkpoint
    if checkpoint is None:
        raise BackendError("the base model was not loaded from files")
    if quantization == UNQUANTIZED and stored_quantization(checkpoint.folder, checkpoint.config) is not None:
        raise BackendError(f"{checkpoint.folder} contains only quantized weights")
    try:
        with memory_errors():
            return _scored(model, base, quantization, texts)
    except MemoryError as error:
        raise BackendError(f"the two base models do not fit in memory together ({error})") from error
    except RuntimeError as error:
        raise BackendError(f"it cannot be scored: {error_line(error)}") from error


def _scored(model: Any, base: BaseModel, quantization: str, texts: Sequence[Sequence[int]]) -> torch.Tensor:
    assert base.checkpoint is not None  # the caller has looked
    other = load_pretrained(
        base.checkpoint.folder,
        model.dtype,
        trust_remote_code=base.trust_remote_code,
        quantization=None if quantization == UNQUANTIZED else quantization,
        device=model.device,
    ).model.eval()
    scorer = Scorer(other if quantization != UNQUANTIZED else other.to(model.device))
    with torch.inference_mode():
        parts = [scorer.logprobs(scorer.hidden(batch_of(rows, model.device))) for rows in _batches(texts)]
    return torch.cat(parts).cpu()


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[PackedRow]]:
    rows = [PackedRow((TokenSequence(tuple(ids), len(ids) - 1),)) for ids in texts]
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]

"""How much memory a batch takes, and what is raised where there is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_OUT_OF_MEMORY = ("out of memory", "cublas_status_alloc_failed", "can't allocate memory", "not enough memory")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn a failed allocation into a MemoryError."""
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(str(error).strip().splitlines()[0]) from None


def token_bytes(model: Any) -> int:
    """About how much memory one token of a batch takes beside the weights: a layer's activations."""
    config = model.config.get_text_config()
    hidden = int(getattr(config, "hidden_size", 1024))
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    return (10 * hidden + 4 * inner) * int(model.dtype.itemsize)


def cache_bytes(model: Any) -> int:
    """How much memory one token of a continuation takes more: its keys and values in every layer."""
    config = model.config.get_text_config()
    hidden, layers = int(getattr(config, "hidden_size", 1024)), int(getattr(config, "num_hidden_layers", 32))
    heads = int(getattr(config, "num_attention_heads", 1))
    width = int(getattr(config, "head_dim", None) or hidden // heads)
    own = int(getattr(config, "num_key_value_heads", None) or heads)
    return 2 * layers * own * width * int(model.dtype.itemsize)

"""The kinds of models that a spec may name."""

from __future__ import annotations

from typing import Literal

ModelKind = Literal["hf", "gguf", "mlx", "api", "dummy", "custom"]
FILE_KINDS = frozenset({"hf", "gguf"})
"""Kinds whose models and adapters are files that we read ourselves."""


def is_gguf_name(name: str) -> bool:
    """Whether a model is named as a GGUF file, and not as a folder or on the hub."""
    return name.lower().endswith(".gguf")

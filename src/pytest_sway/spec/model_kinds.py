"""The kinds of models that a spec may name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pytest_sway.spec.path_lookup import is_file

ModelKind = Literal["hf", "gguf", "mlx", "api", "dummy", "custom"]
FILE_KINDS = frozenset({"hf", "gguf", "mlx"})
"""Kinds whose models and adapters are files that we read ourselves."""


def is_gguf_name(name: str) -> bool:
    """Whether a model is named as a GGUF file, and not as a folder or on the hub."""
    return name.lower().endswith(".gguf")


def server_address(endpoint: str) -> str:
    """A server's address, which may be written with ``/v1``."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/")


def is_gguf_adapter(path: Path, kind: str) -> bool:
    """Whether an adapter of ``kind: gguf`` is one file of llama.cpp's, and not a folder."""
    return kind == "gguf" and is_gguf_name(path.name) and is_file(path)

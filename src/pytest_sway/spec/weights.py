"""Whether an adapter's weights are there, written to their end. Standard library only: headers are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sway.spec.folders import is_file

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_PICKLED, _MLX = "adapter_model.bin", "adapters.safetensors"
_LENGTH = 8
_LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_LFS = b"version https://git-lfs"


def why_incomplete(folder: Path) -> str | None:
    """Why the weights of an adapter folder cannot be read, without the folder's name; None where they can."""
    weights = folder / ADAPTER_WEIGHTS
    if not is_file(weights):
        return _missing(folder)
    try:
        return _cut(weights)
    except OSError as error:
        return f"holds an {ADAPTER_WEIGHTS} that cannot be read: {error.strerror or error}"


def _missing(folder: Path) -> str:
    if is_file(folder / _PICKLED):
        return (
            f"holds {_PICKLED} and no {ADAPTER_WEIGHTS}; pickled weights are never loaded: save the adapter "
            "again with save_pretrained(..., safe_serialization=True)"
        )
    if is_file(folder / _MLX):
        return f"holds {_MLX}, the file that mlx-lm writes, and no {ADAPTER_WEIGHTS}: convert it to PEFT"
    if (folder / ADAPTER_WEIGHTS).is_symlink():
        return f"holds an {ADAPTER_WEIGHTS} that is a link to a file that does not exist"
    return (
        f"holds no {ADAPTER_WEIGHTS}: either the training is still writing it, or the weights were not saved "
        "or not copied"
    )


def _cut(weights: Path) -> str | None:
    """Compare the size of a safetensors file with what its header says."""
    size = weights.stat().st_size
    with weights.open("rb") as file:
        start = file.read(len(_LFS))
        if start == _LFS:
            return f"holds a Git LFS pointer in place of {ADAPTER_WEIGHTS}: run git lfs pull"
        length = int.from_bytes(start[:_LENGTH], "little")
        wanted = _LENGTH + length
        if len(start) >= _LENGTH and length > _LONGEST_HEADER:
            return f"holds an {ADAPTER_WEIGHTS} that is not in the safetensors format"
        if len(start) < _LENGTH or size < wanted:
            return _short(size, max(wanted, _LENGTH + 2))
        file.seek(_LENGTH)
        end = _end(file.read(length))
    if end is None:
        return f"holds an {ADAPTER_WEIGHTS} whose header is not that of the safetensors format"
    return _short(size, wanted + end) if size < wanted + end else None


def _short(size: int, wanted: int) -> str:
    return (
        f"holds an {ADAPTER_WEIGHTS} that ends early ({size:,} bytes, its header needs {wanted:,} or more): "
        "either the training is still writing it, or it was interrupted or copied only in part"
    )


def _end(header: bytes) -> int | None:
    """Bytes of all tensors; None where this is no header."""
    try:
        found = json.loads(header)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    ends = [_tensor_end(entry) for name, entry in found.items() if name != "__metadata__"]
    known = [end for end in ends if end is not None]
    return max(known, default=0) if len(known) == len(ends) else None


def _tensor_end(entry: Any) -> int | None:
    offsets = entry.get("data_offsets") if isinstance(entry, Mapping) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(isinstance(at, int) for at in offsets):
        return None
    return int(offsets[1])

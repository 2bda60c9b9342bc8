"""The adapter's weights file: which tensors it holds. Standard library only."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.safetensors_header import HeaderError, Shapes, tensor_shapes
from pytest_sway.training.errors import TrainingDataError

WEIGHTS_FILE = "adapter_model.safetensors"


def key_shapes(file: Path) -> Shapes:
    """Names and shapes of a safetensors file's tensors; its header alone is read.

    Raises:
        TrainingDataError: it is no safetensors file.
    """
    try:
        return tensor_shapes(file, complete=False)
    except HeaderError:
        raise TrainingDataError(f"{file} is not a safetensors file") from None

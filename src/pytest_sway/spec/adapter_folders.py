"""Which folders are adapters, and messages on folders that are not. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_sway.spec.path_lookup import is_file, is_folder
from pytest_sway.text.message_parts import shorten_list

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MLX_WEIGHTS = "adapters.safetensors"
"""Of an adapter of mlx-lm."""
UNFINISHED_CHECKPOINT = "tmp-checkpoint"
"""Name of a checkpoint while transformers is still writing it."""
_CHECKPOINT = "checkpoint"
_TRAINING_FILES = (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    "adapter_model.bin",
    MLX_WEIGHTS,
    "trainer_state.json",
)


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is an adapter or a checkpoint, complete or not, by its name or its files."""
    has_name = folder.name.startswith((_CHECKPOINT, UNFINISHED_CHECKPOINT))
    return is_folder(folder) and (has_name or any(is_file(folder / name) for name in _TRAINING_FILES))


def adapters_below(folder: Path) -> list[str]:
    """Names of the subfolders that hold an adapter."""
    return sorted(config.parent.name for config in folder.glob(f"*/{ADAPTER_CONFIG}"))


def why_no_adapter(folder: Path) -> str | None:
    """Why a folder is not an adapter, as the end of "there is no adapter folder …"; None where it is one."""
    if not is_folder(folder):
        return f": {folder} is a file; use the folder that contains it" if is_file(folder) else ""
    return None if is_file(folder / ADAPTER_CONFIG) else f": {no_adapter(folder)}"


def no_adapter(folder: Path) -> str:
    """Why a folder without an adapter's config is not an adapter, and where the nearest adapter is."""
    return f"{folder} {missing_config(folder)}"


def missing_config(folder: Path) -> str:
    """The same without the folder's name: what it holds instead, and which folder below or above to name."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return "cannot be read: permission denied"
    if below := adapters_below(folder):
        both = ", ".join(f"{folder.name}/{name}" for name in below[:2])
        return (
            f"contains no {ADAPTER_CONFIG}, but its subfolders contain adapters ({shorten_list(below)}). "
            f"Use one of these subfolders; to evaluate several, write adapter: [{both}] or "
            f"adapter: {folder.name}/*"
        )
    lacks = f"contains no {ADAPTER_CONFIG}"
    above = folder.parent
    if is_file(above / ADAPTER_CONFIG):
        return f"{lacks}, but its parent folder contains one. To evaluate that adapter, use {above}"
    if is_file(folder / "config.json") and any(folder.glob("*.safetensors")):
        return (
            f"{lacks}, but it contains a full model (config.json and weights). To evaluate that model, set "
            "models.ft.base to this folder and add defaults: {differential: false}"
        )
    return lacks

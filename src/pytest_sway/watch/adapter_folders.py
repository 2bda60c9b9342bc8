"""What a folder holds at a moment, whether it is a complete adapter, and which one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from pytest_sway.spec.adapter_file_checks import is_mlx_folder, why_not_served
from pytest_sway.spec.adapter_folders import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    MLX_WEIGHTS,
    UNFINISHED_CHECKPOINT,
    missing_config,
)
from pytest_sway.spec.path_lookup import is_file

Files = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change and inode of each file."""
_NO_FILE = ("", 0, 0, 0)
_TRAINER_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-\d+")


def files_of(folder: Path) -> Files:
    """The files of a folder; empty where there is none, or one vanished meanwhile."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found))


def why_incomplete(folder: Path) -> str:
    """Why a folder is no complete adapter, as the end of "NAME: …"; empty where it is one."""
    if folder.name.startswith(UNFINISHED_CHECKPOINT):
        return "has the temporary name that transformers uses while it writes a checkpoint"
    try:
        if not is_file(folder / ADAPTER_CONFIG):
            return missing_config(folder)
        return (why_not_served(folder) or "").removeprefix(str(folder)).lstrip(":/ ")
    except OSError as error:  # it vanishes meanwhile
        return f"cannot be read: {error.strerror or error}"


def may_go_on(folder: Path, before: Files, files: Files) -> bool:
    """Whether a complete adapter may still be being written, as what is written last tells.

    A Trainer writes trainer_state.json after everything else; PEFT writes the config after the weights.

    Args:
        folder: of the adapter.
        before: its files when it was last evaluated; empty where it never was.
        files: its files now.
    """
    if _is_checkpoint_without_state(folder):
        return True
    then, now = ({entry[0]: entry for entry in one} for one in (before, files))
    if then.get(ADAPTER_WEIGHTS, _NO_FILE) == now.get(ADAPTER_WEIGHTS, _NO_FILE):
        return False
    last = _TRAINER_STATE if _TRAINER_STATE in then else ADAPTER_CONFIG
    return last in then and then[last] == now.get(last)


def _is_checkpoint_without_state(folder: Path) -> bool:
    """Whether a folder is named as a Trainer's checkpoint and lacks the file that a Trainer writes last."""
    if _CHECKPOINT.fullmatch(folder.name) is None:
        return False
    try:
        json.loads((folder / _TRAINER_STATE).read_bytes())
    except (OSError, ValueError):
        return True
    return False


def adapter_digest(folder: Path) -> str:
    """SHA-256 of an adapter's config and weights.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for name in (ADAPTER_CONFIG, MLX_WEIGHTS if is_mlx_folder(folder) else ADAPTER_WEIGHTS):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

"""What a folder holds at a moment, whether it is a complete adapter, and which one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from pytest_sway.regular_files import open_regular, read_regular
from pytest_sway.safetensors_header import HeaderError, tensor_shapes
from pytest_sway.spec.adapter_file_checks import is_mlx_folder, why_not_served
from pytest_sway.spec.adapter_folders import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    MLX_WEIGHTS,
    UNFINISHED_CHECKPOINT,
    missing_config,
)
from pytest_sway.spec.path_lookup import is_file

Files = tuple[tuple[str, int, int, int, int], ...]
"""Name, size, times of the last write and of the last change, and inode of each file."""
_NO_FILE = ("", 0, 0, 0, 0)
_UNREADABLE: Files = (_NO_FILE,)
_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".pt", ".bin")
"""Of what belongs to an adapter or its checkpoint; logs beside it grow as long as the training goes on."""
_TRAINER_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-\d+")


def files_of(folder: Path) -> Files:
    """The files of an adapter's folder, logs left out; empty where there is no folder."""
    try:
        names = [path.name for path in folder.iterdir() if path.suffix in _SUFFIXES]
    except FileNotFoundError:
        return ()
    except OSError:
        return _UNREADABLE
    return tuple(sorted(_file(folder, name) for name in names))


def _file(folder: Path, name: str) -> tuple[str, int, int, int, int]:
    try:
        found = (folder / name).stat()
    except OSError:  # it vanishes meanwhile, or is a link that leads nowhere
        return (name, 0, 0, 0, 0)
    return name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def why_incomplete(folder: Path) -> str:
    """Why a folder is no complete adapter, as the end of "NAME: …"; empty where it is one."""
    if folder.name.startswith(UNFINISHED_CHECKPOINT):
        return "the folder has the temporary name that transformers uses while it writes a checkpoint"
    try:
        if not is_file(folder / ADAPTER_CONFIG):
            return missing_config(folder)
        if is_mlx_folder(folder):
            tensor_shapes(folder / MLX_WEIGHTS)
        return (why_not_served(folder) or "").removeprefix(str(folder)).lstrip(":/ ")
    except HeaderError as error:
        return f"{MLX_WEIGHTS} {error}"
    except OSError as error:  # it vanishes meanwhile
        return f"the adapter cannot be read: {error.strerror or error}"


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
        json.loads(read_regular(folder / _TRAINER_STATE))
    except (OSError, ValueError, RecursionError):
        return True
    return False


def adapter_digest(folder: Path) -> str:
    """SHA-256 of an adapter's config and weights.

    Raises:
        OSError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    for name in (ADAPTER_CONFIG, MLX_WEIGHTS if is_mlx_folder(folder) else ADAPTER_WEIGHTS):
        with open_regular(folder / name) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

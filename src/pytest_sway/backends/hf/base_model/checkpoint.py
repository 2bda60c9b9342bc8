"""The weight files of a model folder: which ones are read, their tensors, and whether they are complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.base_model.checkpoint_errors import (
    adapter_hint,
    check_tensor_names,
    missing_weights_message,
)
from pytest_sway.safetensors_header import HeaderError, tensor_shapes
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG
from pytest_sway.spec.path_lookup import is_file
from pytest_sway.text.message_parts import describe

MODEL_CONFIG = "config.json"
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_OTHER_MODEL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
"""Files that are read beside the weights."""
_LFS_POINTER = b"version https://git-lfs"
_MAX_POINTER_SIZE = 2048
"""A Git LFS pointer has about 130 bytes."""
_DISTRIBUTED = "shard-*-model-*-of-*.safetensors"
"""Files of torch's distributed checkpoints, which transformers 5 prefers to every other."""


@dataclass(frozen=True)
class Checkpoint:
    """The weight files that transformers reads from a folder.

    Attributes:
        folder: of the model.
        config: its ``config.json``.
        files: the safetensors files, the shards of an index in the order of their names.
        shapes: shape of each tensor by its name in the file.
    """

    folder: Path
    config: dict[str, Any]
    files: tuple[Path, ...]
    shapes: dict[str, tuple[int, ...]]

    def notes(self, adapter: Path | None = None) -> tuple[str, ...]:
        """Files in the folder that are not loaded, though a reader may think that they are.

        Args:
            adapter: the adapter's folder that is evaluated, which may be the same one.
        """
        notes = []
        evaluated = adapter is not None and adapter.resolve() == self.folder.resolve()
        if not evaluated and (self.folder / ADAPTER_CONFIG).is_file():
            notes.append(
                f"{self.folder} contains an {ADAPTER_CONFIG} next to the model weights. That adapter is not "
                "loaded; to evaluate it, set models.ft.adapter to this folder"
            )
        if len(self.files) == 1 and (self.folder / _INDEX).is_file() and self.files[0].name == _SINGLE:
            notes.append(f"{self.folder} contains {_SINGLE} and {_INDEX}; {_SINGLE} is used")
        return tuple(notes)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the headers of a model's weight files; no tensor is read.

    Raises:
        BackendError: a file is missing, cut off, a Git LFS pointer or no safetensors, or its tensors cannot
            be those of a model (empty, or named by a wrapper).
    """
    if not (folder / MODEL_CONFIG).is_file():
        raise BackendError(
            f"{folder} is not a model folder: it contains no {MODEL_CONFIG}{adapter_hint(folder)}"
        )
    for file in sorted({path for pattern in _OTHER_MODEL_FILES for path in folder.glob(pattern)}):
        _refuse_lfs_pointer(file)
    config = _read_json(folder / MODEL_CONFIG)
    files = _weight_files(folder, config)
    shapes = {name: shape for file in files for name, shape in read_header(file).items()}
    check_tensor_names(folder, shapes)
    return Checkpoint(folder, config, files, shapes)


def read_header(file: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a safetensors file's tensors.

    Raises:
        BackendError: it cannot be read, is a Git LFS pointer, is cut off, or is no safetensors file.
    """
    try:
        return tensor_shapes(file)
    except HeaderError as error:
        raise BackendError(f"{file} {error}") from error


def _refuse_lfs_pointer(file: Path) -> None:
    if not file.is_file() or file.stat().st_size > _MAX_POINTER_SIZE:
        return
    with file.open("rb") as opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise BackendError(
                f"{file} is a Git LFS pointer, not the file itself; run git lfs pull in its folder, or "
                "download the file"
            )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackendError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise BackendError(f"{file} does not contain a JSON object")
    return content


def _weight_files(folder: Path, config: dict[str, Any]) -> tuple[Path, ...]:
    """The files that transformers reads, in the order in which it looks for them."""
    if distributed := sorted(path.name for path in folder.glob(_DISTRIBUTED)):
        raise BackendError(
            f"{folder} contains files of a distributed checkpoint (first: {distributed[0]}), which are not "
            "supported; save the model with save_pretrained"
        )
    named = config.get("transformers_weights")
    names = [named] if isinstance(named, str) else [_SINGLE, _INDEX]
    for name in names:
        if is_file(folder / name):
            return _indexed_files(folder / name) if name.endswith(".json") else (folder / name,)
    raise BackendError(missing_weights_message(folder, names[0]))


def _indexed_files(index: Path) -> tuple[Path, ...]:
    """The files that an index names; raises BackendError where one is missing."""
    named = _read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise BackendError(f"{index} lists no weight files in weight_map")
    names = sorted(set(named.values()))
    missing = [name for name in names if not is_file(index.parent / name)]
    if missing:
        raise BackendError(
            f"{index} lists {len(names)} files, but {len(missing)} of them are missing (first: "
            f"{describe(missing[0])}). Download or copy the missing files"
        )
    return tuple(index.parent / name for name in names)

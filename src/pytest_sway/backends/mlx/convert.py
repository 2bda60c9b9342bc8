"""Converts adapters between the folders of PEFT and of mlx-lm, both ways, without PEFT and without torch.

===========================================  ==========================================================
PEFT                                         mlx-lm
===========================================  ==========================================================
``base_model.model.X.lora_A.weight [r, in]``  ``X.lora_a [in, r]``
``base_model.model.X.lora_B.weight [out, r]`` ``X.lora_b [r, out]``
``base_model.model.X.lora_magnitude_vector``  ``X.m``
``lora_alpha`` / r, or / √r with rsLoRA       ``lora_parameters.scale``
``rank_pattern``, ``alpha_pattern``           one rank and one scale: zero columns, and factors in B
``target_modules``                            ``lora_parameters.keys`` and ``num_layers``
===========================================  ==========================================================
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_sway.atomic_files import new_folder
from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.unchanged_files import UnchangedFiles
from pytest_sway.backends.mlx.adapter_content import AdapterContent, ConversionError, is_embedding
from pytest_sway.backends.mlx.mlx_folder import read_mlx_folder, write_mlx_folder
from pytest_sway.backends.mlx.peft_folder import read_peft_folder, write_peft_folder
from pytest_sway.spec.adapter_file_checks import is_mlx_folder
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MLX_WEIGHTS
from pytest_sway.version import __version__

Target = Literal["mlx", "peft"]
_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "chat_template*", "vocab*", "merges.txt")
_MLX_FILES = (ADAPTER_CONFIG, MLX_WEIGHTS, *_TOKENIZER_FILES)
_SOURCE_FILES = (*_MLX_FILES, ADAPTER_WEIGHTS)
_TIED = (
    "{name} is an embedding; if the head is tied to it, mlx-lm also applies the update to the head, but PEFT "
    "does not"
)


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        folder: where.
        modules: how many the adapter changes.
        rank: the largest.
        scale: the commonest factor on B·A.
        notes: what the two formats do not have in common.
    """

    folder: Path
    modules: int
    rank: int
    scale: float
    notes: tuple[str, ...]


def read_adapter(folder: Path) -> AdapterContent:
    """An adapter of either format.

    Raises:
        ConversionError: it is of neither, or cannot be read.
    """
    return read_mlx_folder(folder) if is_mlx_folder(folder) else read_peft_folder(folder)


def convert_adapter(
    source: Path, destination: Path, target: Target = "mlx", *, overwrite: bool = False
) -> Conversion:
    """Write an adapter's folder in the other format; its tokenizer is copied with it.

    The folder is there complete or not at all.

    Args:
        source: of the adapter.
        destination: a folder that does not exist or is empty.
        target: the format that is written.
        overwrite: whether what the destination holds is replaced.

    Raises:
        ConversionError: the source cannot be converted (whole tensors of the base are named, never left
            out), or the destination is not empty.
    """
    try:
        files = UnchangedFiles(source, _SOURCE_FILES)
        files.digest()
    except OSError as error:
        raise ConversionError(f"{source} cannot be read: {error.strerror or error}") from error
    except BackendError as error:
        raise ConversionError(str(error)) from error
    return _convert(files, destination, target, overwrite=overwrite)


def _convert(files: UnchangedFiles, destination: Path, target: Target, *, overwrite: bool) -> Conversion:
    source = files.folder
    if is_mlx_folder(source) is (target == "mlx"):
        raise ConversionError(f"{source} is already an adapter in the format of {_NAMES[target]}")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())) and not overwrite:
        raise ConversionError(f"{destination} is not empty; choose another folder, or pass --overwrite")
    content = read_adapter(source)
    if content.whole:
        raise ConversionError(
            f"{source} cannot be converted to the format of {_NAMES[target]}, which supports no full weight "
            f"tensors of the base model. The adapter contains {len(content.whole)} (first: "
            f"{min(content.whole)}). PEFT saves such tensors for "
            "modules_to_save and for target_modules that are embeddings. If they are unchanged copies, save "
            "the adapter with save_embedding_layers=False"
        )
    _write_whole(content, destination, _WRITERS[target], files, overwrite=overwrite)
    return Conversion(
        destination,
        len(content.updates),
        max(update.rank for update in content.updates.values()),
        content.commonest_scaling,
        (*content.notes, *_embedding_notes(content)),
    )


def converted_folder(source: Path) -> Path:
    """An adapter of mlx-lm as PEFT's, in the cache; written there once for each content.

    Raises:
        ConversionError: it cannot be converted, or whether it is the same on a base depends on that base.
    """
    try:
        files = UnchangedFiles(source, _MLX_FILES)
        digest = files.digest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except OSError as error:
        raise ConversionError(f"{source} cannot be read: {error.strerror or error}") from error
    except BackendError as error:
        raise ConversionError(str(error)) from error
    except RuntimeError:
        raise ConversionError(
            f"{source} cannot be converted to PEFT format, because there is no home folder for the result; "
            "set XDG_CACHE_HOME to a writable folder"
        ) from None
    folder = cache / "pytest-sway" / "converted-adapters" / f"{digest}-{__version__}"
    if not folder.is_dir():
        if notes := _embedding_notes(read_adapter(source)):
            raise ConversionError(f"{source} cannot be converted to PEFT format: {notes[0]}. Use kind: mlx")
        try:
            _convert(files, folder, "peft", overwrite=False)
        except ConversionError:
            if not folder.is_dir():  # else another process wrote it meanwhile
                raise
    return folder


_NAMES = {"mlx": "mlx-lm", "peft": "PEFT"}
_WRITERS: dict[Target, Callable[[AdapterContent, Path], None]] = {
    "mlx": write_mlx_folder,
    "peft": write_peft_folder,
}


def _embedding_notes(content: AdapterContent) -> list[str]:
    return [_TIED.format(name=name) for name in content.updates if is_embedding(name)]


def _write_whole(
    content: AdapterContent,
    destination: Path,
    write: Callable[[AdapterContent, Path], None],
    files: UnchangedFiles,
    *,
    overwrite: bool,
) -> None:
    """Write into a folder beside the destination, which then takes its place."""
    try:
        with new_folder(destination, ".converting-", replace=overwrite) as made:
            write(content, made)
            for file in (file for pattern in _TOKENIZER_FILES for file in content.folder.glob(pattern)):
                if file.is_file():
                    shutil.copy2(file, made)
            files.check()
    except BackendError as error:
        raise ConversionError(str(error)) from error
    except (OSError, RuntimeError) as error:  # mlx raises RuntimeError for a full disk
        reason = getattr(error, "strerror", None) or error
        raise ConversionError(f"{destination} cannot be written: {reason}") from error

"""The base model that an adapter's config names, compared with the one that is loaded."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import MODEL_CONFIG

_CACHED = re.compile(r"models--(?P<name>[^/\\]+)[/\\]+snapshots[/\\]+(?P<commit>[^/\\]+)")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_QUANTIZED = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-4bit|bnb-8bit|4bit|8bit|int4|int8|fp8|nf4|gptq|awq|gguf|w4a16|w8a8)"
    r"(?=$|[-_.])",
    re.IGNORECASE,
)
"""Suffixes of model names on the hub that name a quantization."""
_GGUF_ENDING = re.compile(r"([-_.](i?q\d\w*|b?f16|fp16|f32))?\.gguf$", re.IGNORECASE)
"""What llama.cpp's tools put behind a model's name: ``-Q4_K_M.gguf``."""
_FOLDERS = frozenset(
    {"base", "bases", "checkpoints", "data", "model", "models", "out", "output", "outputs", "results", "runs"}
)
"""Names of folders that are no organisation on the hub: ``models/llama`` is a path."""
_MIN_COMMIT_DIGITS = 7
"""Digits that an abbreviated commit has at least."""


@dataclass(frozen=True)
class BaseMismatch:
    """What an adapter's config says of its base that does not agree with the spec.

    Attributes:
        text: a sentence for the report.
        is_certain: whether the two names are known to mean two models; a path on another machine is not.
        is_quantization: whether they are known to mean one model in two quantizations.
    """

    text: str
    is_certain: bool
    is_quantization: bool = False


def declared_base_mismatch(adapter: Path, config: Mapping[str, Any], base: BaseModel) -> BaseMismatch | None:
    """Compare the base that ``adapter_config.json`` names with the one that is loaded.

    Two names are the same where they lead to one folder, to the same weights, or end alike (without case): a
    model's folder is often copied to another place. Names of one model in two quantizations, and two
    revisions, differ.

    Args:
        adapter: the adapter's folder.
        config: its ``adapter_config.json``.
        base: the model that it is put on.
    """
    named = str(config.get("base_model_name_or_path") or "")
    if not named or not base.name:
        return None
    statement = (
        f"adapter_config.json states that the adapter was trained on {_hub_name(named)}, but the spec's base "
        f"model is {base.name}"
    )
    if base.is_gguf_file:
        return _gguf_mismatch(statement, named, base)
    folder = _local_folder(named, adapter)
    if folder is not None and _same_weights(folder, base):
        return None
    theirs, ours = _model_name(named), [_model_name(base.name), *_other_names(base)]
    if folder is not None:
        return BaseMismatch(f"{statement}. The weight files of the two differ", is_certain=True)
    if theirs.casefold() in {name.casefold() for name in ours}:
        return _revision_mismatch(config, named, base)
    if _without_quantization(theirs) in {_without_quantization(name) for name in ours}:
        return BaseMismatch(
            f"{statement}. These are two quantizations of the same model, so their weights differ",
            is_certain=True,
            is_quantization=True,
        )
    if _is_hub_name(named):
        text = (
            f"{statement}. Unless both have the same weights, the results do not show what the adapter does "
            "on the model that it was trained on"
        )
        return BaseMismatch(text, is_certain=True)
    return BaseMismatch(f"{statement}. It is unknown whether these two are the same model", is_certain=False)


def _gguf_mismatch(statement: str, named: str, base: BaseModel) -> BaseMismatch | None:
    """A GGUF file was converted from a model, mostly to fewer bits, and is named after it."""
    theirs, ours = _without_quantization(_model_name(named)), _GGUF_ENDING.sub("", _model_name(base.name))
    if theirs == ours.casefold():
        return None
    text = f"{statement}. It is unknown whether this GGUF file was converted from the model of the training"
    return BaseMismatch(text, is_certain=False)


def _revision_mismatch(config: Mapping[str, Any], named: str, base: BaseModel) -> BaseMismatch | None:
    """Two revisions of one model on the hub; a copy in a folder has none that is known."""
    cached = _CACHED.search(named)
    theirs = cached["commit"] if cached else config.get("revision")
    commit = _CACHED.search(str(base.folder))
    if not theirs or commit is None:
        return None
    known = {base.revision or "main", commit["commit"]}
    abbreviated = len(theirs) >= _MIN_COMMIT_DIGITS and commit["commit"].startswith(theirs)
    if theirs in known or abbreviated:
        return None
    ours = base.revision or f"main ({commit['commit'][:_MIN_COMMIT_DIGITS]})"
    return BaseMismatch(
        f"adapter_config.json states that the adapter was trained on revision {theirs} of "
        f"{_hub_name(named)}, but the spec's base model is revision {ours}. Set revision: {theirs} to "
        "evaluate the adapter on the revision that it was trained on",
        is_certain=True,
    )


def _local_folder(named: str, adapter: Path) -> Path | None:
    """The model's folder that the name is a path to, from the adapter's or from the working directory."""
    for folder in (adapter / named, Path(named)):
        if os.path.isfile(folder / MODEL_CONFIG):  # noqa: PTH113 - unlike Path.is_file it raises for no name
            return folder
    return None


def _same_weights(folder: Path, base: BaseModel) -> bool:
    """Whether a folder is the base's, or its weight files are the same byte for byte."""
    if base.folder is None or folder.samefile(base.folder):
        return True
    pairs = [(file, folder / file.name) for file in base.files]
    return all(other.is_file() and filecmp.cmp(file, other, shallow=False) for file, other in pairs)


def _other_names(base: BaseModel) -> list[str]:
    """Other names of the base, from its own files."""
    own = base.checkpoint.config.get("_name_or_path") if base.checkpoint is not None else None
    resolved = [base.folder.resolve().name] if base.folder is not None else []
    return [*([_model_name(own)] if isinstance(own, str) and own else []), *resolved]


def _model_name(named: str) -> str:
    """The last part of a path or a hub id, the model's name for a snapshot in the hub's cache."""
    cached = _CACHED.search(named)
    if cached:
        return cached["name"].rpartition("--")[2]
    return re.split(r"[/\\]", named.rstrip("/\\"))[-1]


def _hub_name(named: str) -> str:
    cached = _CACHED.search(named)
    return cached["name"].replace("--", "/") if cached else named


def _without_quantization(name: str) -> str:
    """A name without what it says of its quantization."""
    return _QUANTIZED.sub("", name).casefold()


def _is_hub_name(named: str) -> bool:
    """``org/name``, or a snapshot in the hub's cache; a relative path of two parts may look the same."""
    if _CACHED.search(named):
        return True
    return (
        bool(_HUB_NAME.fullmatch(named)) and not named.startswith(".") and named.split("/")[0] not in _FOLDERS
    )

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
from pytest_sway.backends.hf.base_model.checkpoint import CONFIG

_CACHED = re.compile(r"models--(?P<name>[^/\\]+)[/\\]+snapshots[/\\]+(?P<commit>[^/\\]+)")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_QUANTIZED = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-4bit|bnb-8bit|4bit|8bit|int4|int8|fp8|nf4|gptq|awq|gguf|w4a16|w8a8)"
    r"(?=$|[-_.])",
    re.IGNORECASE,
)
"""What names of models on the hub say of their quantization."""
_FOLDERS = frozenset(
    {"base", "bases", "checkpoints", "data", "model", "models", "out", "output", "outputs", "results", "runs"}
)
"""Names of folders that are nobody's name on the hub: ``models/llama`` is a path."""
_COMMIT = 7
"""Digits that an abbreviated commit has at least."""


@dataclass(frozen=True)
class Difference:
    """What an adapter's config says of its base that does not agree with the spec.

    Attributes:
        text: a sentence for the report.
        certain: whether the two names are known to mean two models; a path on another machine is not.
    """

    text: str
    certain: bool


def declared_base_mismatch(adapter: Path, config: Mapping[str, Any], base: BaseModel) -> Difference | None:
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
    place = _place(named, adapter)
    if place is not None and _same_weights(place, base):
        return None
    theirs, ours = _plain(named), [_plain(base.name), *_other_names(base)]
    said = (
        f"adapter_config.json says that the adapter was trained on {_shown(named)}, and the spec's base is "
        f"{base.name}"
    )
    if place is not None:
        return Difference(f"{said}, whose weight files are not the same", certain=True)
    if theirs.casefold() in {name.casefold() for name in ours}:
        return _revision(config, named, base)
    if _bare(theirs) in {_bare(name) for name in ours}:
        return Difference(
            f"{said}: the same model in another quantization, whose weights differ", certain=True
        )
    if _is_hub_name(named):
        text = f"{said}: unless both have the same weights, no number is about the adapter as it was trained"
        return Difference(text, certain=True)
    return Difference(f"{said}; whether they are the same model cannot be seen from here", certain=False)


def _revision(config: Mapping[str, Any], named: str, base: BaseModel) -> Difference | None:
    """Two revisions of one model on the hub; a copy in a folder has none that is known."""
    cached = _CACHED.search(named)
    theirs = cached["commit"] if cached else config.get("revision")
    commit = _CACHED.search(str(base.folder))
    if not theirs or commit is None:
        return None
    known = {base.revision or "main", commit["commit"]}
    abbreviated = len(theirs) >= _COMMIT and commit["commit"].startswith(theirs)
    if theirs in known or abbreviated:
        return None
    ours = base.revision or f"main ({commit['commit'][:_COMMIT]})"
    return Difference(
        f"adapter_config.json says that the adapter was trained on revision {theirs} of {_shown(named)}, the "
        f"spec's base is revision {ours}: write revision: {theirs} to evaluate it on its own base",
        certain=True,
    )


def _place(named: str, adapter: Path) -> Path | None:
    """The model's folder that the name is a path to, from the adapter's or from the working directory."""
    for place in (adapter / named, Path(named)):
        if os.path.isfile(place / CONFIG):  # noqa: PTH113 - unlike Path.is_file it raises for no name
            return place
    return None


def _same_weights(place: Path, base: BaseModel) -> bool:
    """Whether a folder is the base's, or its weight files are the same byte for byte."""
    if base.folder is None or place.samefile(base.folder):
        return True
    pairs = [(file, place / file.name) for file in base.files]
    return all(other.is_file() and filecmp.cmp(file, other, shallow=False) for file, other in pairs)


def _other_names(base: BaseModel) -> list[str]:
    """By what other names the base's own files know it."""
    own = base.checkpoint.config.get("_name_or_path") if base.checkpoint is not None else None
    resolved = [base.folder.resolve().name] if base.folder is not None else []
    return [*([_plain(own)] if isinstance(own, str) and own else []), *resolved]


def _plain(named: str) -> str:
    """The last part of a path or a hub id, the model's name for a snapshot in the hub's cache."""
    cached = _CACHED.search(named)
    if cached:
        return cached["name"].rpartition("--")[2]
    return re.split(r"[/\\]", named.rstrip("/\\"))[-1]


def _shown(named: str) -> str:
    cached = _CACHED.search(named)
    return cached["name"].replace("--", "/") if cached else named


def _bare(name: str) -> str:
    """A name without what it says of its quantization."""
    return _QUANTIZED.sub("", name).casefold()


def _is_hub_name(named: str) -> bool:
    """``org/name``, or a snapshot in the hub's cache; a relative path of two parts may look the same."""
    if _CACHED.search(named):
        return True
    return (
        bool(_HUB_NAME.fullmatch(named)) and not named.startswith(".") and named.split("/")[0] not in _FOLDERS
    )

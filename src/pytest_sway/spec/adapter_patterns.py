"""What a pattern matches: adapters, folders that should have been adapters, and everything else."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pytest_sway.spec.adapter_files import ADAPTER_WEIGHTS
from pytest_sway.spec.model_folders import ADAPTER_CONFIG, adapters_below, is_file, is_folder, missing_config

Wrong = Callable[[Path], str | None]
"""Why an adapter folder cannot be evaluated, in a sentence; None where it can."""

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")
_TRAINED = (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    "adapter_model.bin",
    "adapters.safetensors",
    "trainer_state.json",
)
_CHECKPOINT = "checkpoint"
_UNFINISHED = "tmp-checkpoint"
"""How transformers names a checkpoint while it writes it."""


class Match(NamedTuple):
    """A path that a pattern matches, absolute, links not followed; and as a user would write it."""

    path: Path
    shown: str


@dataclass(frozen=True)
class LeftOut:
    """A pattern's match that is not evaluated.

    Attributes:
        path: absolute, links not followed.
        shown: the path as a user would write it.
        reason: why, as the end of "not evaluated: …".
        is_candidate: whether it should have been an adapter: it holds weights or what training saves, or is
            named as a checkpoint. Else it is a file, or a folder of something else (logs).
    """

    path: Path
    shown: str
    reason: str
    is_candidate: bool


def matches(pattern: str, root: Path) -> list[Match]:
    """What a pattern matches below ``root``, by what links lead to; numbers are compared as numbers."""
    try:
        text = str(Path(pattern).expanduser())
    except RuntimeError:  # an unknown home
        return []
    found = glob.glob(text, root_dir=root, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    paths = [Match(Path(os.path.abspath(root / one)), os.path.normpath(one)) for one in found]  # noqa: PTH100
    return sorted(paths, key=lambda match: _natural(os.path.realpath(match.path)))


def sort_out(found: Sequence[Match], wrong: Wrong | None) -> tuple[list[Match], list[LeftOut]]:
    """The adapters among a pattern's matches, and what is not evaluated.

    What lies inside an adapter or inside something left out is not named again, unless it should have been
    an adapter itself; nor is a folder that the adapters lie in, unless it holds a file of an adapter.
    """
    adapters: list[Match] = []
    others: list[LeftOut] = []
    for match in found:
        reason = _why_left_out(match.path, wrong)
        if reason is None:
            adapters.append(match)
        else:
            others.append(LeftOut(*match, reason, _is_candidate(match.path)))
    return adapters, list(_worth_naming(others, adapters))


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is an adapter or a checkpoint, whole or not, by its name or its files."""
    named = folder.name.startswith((_CHECKPOINT, _UNFINISHED))
    return is_folder(folder) and (named or any(is_file(folder / name) for name in _TRAINED))


def _is_candidate(path: Path) -> bool:
    """Whether a match should have been an adapter.

    That is an adapter or a checkpoint, whole or not; a folder of weights, of adapters, or one that cannot be
    read; a broken link.
    """
    if not is_folder(path):
        return _leads_nowhere(path)
    return is_checkpoint(path) or bool(adapters_below(path)) or _holds_weights(path)


def _holds_weights(folder: Path) -> bool:
    try:
        return any(path.suffix in _WEIGHTS for path in folder.iterdir())
    except OSError:  # nobody knows what it holds
        return True


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)  # noqa: PTH110 - raises for no circle of links


def _why_left_out(path: Path, wrong: Wrong | None) -> str | None:
    if _leads_nowhere(path):
        return f"is a link to {os.readlink(path)}, which leads to no folder"  # noqa: PTH115 - as it was written
    if not is_folder(path):
        return "is a file, not an adapter folder"
    if path.name.startswith(_UNFINISHED):
        return "has the name that transformers gives a checkpoint while it is being written"
    if not is_file(path / ADAPTER_CONFIG):
        return missing_config(path)
    found = wrong(path) if wrong is not None else None
    return None if found is None else found.removeprefix(str(path)).lstrip(":/ ")  # it is named already


def _worth_naming(others: Sequence[LeftOut], adapters: Sequence[Match]) -> Iterator[LeftOut]:
    around = {parent for match in adapters for parent in match.path.parents}
    inside = {match.path for match in adapters} | {one.path for one in others} - around
    for one in others:
        within = any(parent in inside for parent in one.path.parents)
        if one.path in around:
            named = any(is_file(one.path / name) for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
        else:
            named = one.is_candidate or not within
        if named:
            yield one


def _natural(path: str) -> list[tuple[int, str]]:
    """Numbers in a name are compared as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]

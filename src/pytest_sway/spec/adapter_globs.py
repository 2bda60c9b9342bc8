"""What a pattern matches: adapters, folders that should have been adapters, and everything else."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pytest_sway.spec.adapter_folders import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    UNFINISHED_CHECKPOINT,
    adapters_below,
    is_checkpoint,
    missing_config,
)
from pytest_sway.spec.path_lookup import is_file, is_folder, natural_order

FolderCheck = Callable[[Path], str | None]
"""Why an adapter folder cannot be evaluated, in a sentence; None where it can."""

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")


class GlobMatch(NamedTuple):
    """A path that a pattern matches, absolute, links not followed; and as a user would write it."""

    path: Path
    name: str


@dataclass(frozen=True)
class ExcludedMatch:
    """A pattern's match that is not evaluated.

    Attributes:
        path: absolute, links not followed.
        name: the path as a user would write it.
        reason: why, as the end of "not evaluated: …".
        is_candidate: whether it should have been an adapter: it holds weights or what training saves, or is
            named as a checkpoint. Else it is a file, or a folder of something else (logs).
    """

    path: Path
    name: str
    reason: str
    is_candidate: bool


def find_matches(pattern: str, root: Path) -> list[GlobMatch]:
    """What a pattern matches below ``root``, sorted by the paths that links lead to, numbers as numbers."""
    try:
        text = str(Path(pattern).expanduser())
    except RuntimeError:  # an unknown home
        return []
    names = glob.glob(text, root_dir=root, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = [GlobMatch(Path(os.path.abspath(root / one)), os.path.normpath(one)) for one in names]  # noqa: PTH100
    return sorted(matches, key=lambda match: natural_order(os.path.realpath(match.path)))


def split_matches(
    matches: Sequence[GlobMatch], check: FolderCheck | None
) -> tuple[list[GlobMatch], list[ExcludedMatch]]:
    """The adapters among a pattern's matches, and what is not evaluated.

    What lies inside an adapter or inside something left out is not named again, unless it should have been
    an adapter itself; nor is a folder that the adapters lie in, unless it holds a file of an adapter.
    """
    adapters: list[GlobMatch] = []
    others: list[ExcludedMatch] = []
    for match in matches:
        reason = _why_excluded(match.path, check)
        if reason is None:
            adapters.append(match)
        else:
            others.append(ExcludedMatch(*match, reason, _is_candidate(match.path)))
    return adapters, list(_without_nested(others, adapters))


def _is_candidate(path: Path) -> bool:
    """Whether a match should have been an adapter.

    That is an adapter or a checkpoint, complete or not; a folder of weights, of adapters, or one that
    cannot be read; a broken link.
    """
    if not is_folder(path):
        return _is_broken_link(path)
    return is_checkpoint(path) or bool(adapters_below(path)) or _holds_weights(path)


def _holds_weights(folder: Path) -> bool:
    try:
        return any(path.suffix in _WEIGHT_SUFFIXES for path in folder.iterdir())
    except OSError:  # nobody knows what it holds
        return True


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)  # noqa: PTH110 - raises for no circle of links


def _why_excluded(path: Path, check: FolderCheck | None) -> str | None:
    if _is_broken_link(path):
        return f"is a broken link to {os.readlink(path)}"  # noqa: PTH115 - as it was written
    if not is_folder(path):
        return "is a file, not an adapter folder"
    if path.name.startswith(UNFINISHED_CHECKPOINT):
        return "has the temporary name that transformers uses while it writes a checkpoint"
    if not is_file(path / ADAPTER_CONFIG):
        return missing_config(path)
    reason = check(path) if check is not None else None
    return None if reason is None else reason.removeprefix(str(path)).lstrip(":/ ")  # it is named already


def _without_nested(
    others: Sequence[ExcludedMatch], adapters: Sequence[GlobMatch]
) -> Iterator[ExcludedMatch]:
    """Without what lies inside another match, and without the folders around the adapters."""
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

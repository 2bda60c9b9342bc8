"""Which adapter folders a spec or the command line names: one, several, or a pattern's matches."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

CONFIG = "adapter_config.json"


def adapter_folders(names: Sequence[str], roots: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """The folders that ``names`` mean, each with its name, and the patterns without a match.

    A name is a folder below the first of ``roots`` that has it; one that is no folder and holds ``*``, ``?``
    or ``[`` stands for the adapter folders that it matches, ``checkpoint-9`` before ``checkpoint-10``.
    """
    found: dict[Path, str] = {}
    unmatched: list[str] = []
    for name in names:
        single = located(name, roots)
        literal = os.path.exists(single) or not glob.has_magic(name)  # noqa: PTH110 - raises for no name
        matches = [single] if literal else _matches(name, roots)
        for match in matches:
            found.setdefault(match, name)
        if not matches:
            unmatched.append(name)
    return found, unmatched


def located(name: str, roots: Sequence[Path]) -> Path:
    """A path below the first root where it exists; below the last where it exists in none."""
    try:
        path = Path(name).expanduser()
        places = [root / path for root in roots]
        return next((place for place in places if place.exists()), places[-1]).resolve()
    except (OSError, RuntimeError, ValueError):  # an unknown home, a name too long, a zero byte
        return Path(name.replace("\0", "�"))


def _matches(pattern: str, roots: Sequence[Path]) -> list[Path]:
    try:
        text = str(Path(pattern).expanduser())
    except RuntimeError:  # an unknown home
        return []
    for root in roots:
        found = [(root / match).resolve() for match in glob.glob(text, root_dir=root, recursive=True)]  # noqa: PTH207
        folders = [path for path in found if (path / CONFIG).is_file()]
        if folders:
            return sorted(folders, key=_natural)
    return []


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name are compared as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]

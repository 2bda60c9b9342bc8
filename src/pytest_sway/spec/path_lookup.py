"""Paths as a spec writes them: looked up below several folders, and put in order."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path


def find_path(name: str, roots: Sequence[Path]) -> Path:
    """A path below the first root where it exists; below the last where it exists in none."""
    return follow_links(join_path(name, roots))


def join_path(name: str, roots: Sequence[Path]) -> Path:
    """The same path with its links not followed."""
    try:
        path = Path(name).expanduser()
        candidates = [root / path for root in roots]
        existing = next((candidate for candidate in candidates if candidate.exists()), candidates[-1])
        return existing.absolute()
    except (OSError, RuntimeError, ValueError):  # an unknown home, a name too long, a zero byte
        return Path(name.replace("\0", "�"))


def follow_links(path: Path) -> Path:
    """What a path's links lead to; the path itself where that cannot be found out."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name too long
        return path


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a path that no file can have is none."""
    return os.path.isdir(path)  # noqa: PTH112 - unlike Path.is_dir it raises for no name


def is_file(path: Path) -> bool:
    """Whether there is such a file; a path that no file can have is none."""
    return os.path.isfile(path)  # noqa: PTH113 - unlike Path.is_file it raises for no name


def natural_order(name: str) -> list[tuple[bool, int, str]]:
    """A key that orders checkpoint-200 before checkpoint-1000."""
    parts = re.split(r"([0-9]+)", name)  # every other part is a number
    return [(at % 2 == 1, int(part) if at % 2 else 0, part) for at, part in enumerate(parts)]

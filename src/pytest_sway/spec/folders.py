"""What an adapter folder holds, told alike before and after a model is loaded. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
_NAMED = 5


def adapters_below(folder: Path) -> list[str]:
    """Names of the subfolders that hold an adapter."""
    return sorted(found.parent.name for found in folder.glob(f"*/{ADAPTER_CONFIG}"))


def no_adapter(folder: Path) -> str:
    """Why a folder without an adapter's config is no adapter, and which of its subfolders are."""
    below = adapters_below(folder)
    if not below:
        return f"{folder} is no adapter: it holds no {ADAPTER_CONFIG}"
    both = ", ".join(f"{folder.name}/{name}" for name in below[:2])
    return (
        f"{folder} holds no {ADAPTER_CONFIG} itself, but its subfolders do ({listed(below)}): name one, "
        f"or several as adapter: [{both}] or adapter: {folder.name}/*"
    )


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a path that no file can have is none."""
    return os.path.isdir(path)  # noqa: PTH112 - unlike Path.is_dir it raises for no name


def why_no_adapter(folder: Path) -> str | None:
    """Why a folder is no adapter, as the end of "there is no adapter folder …"; None where it is one."""
    if not is_folder(folder):
        return ""
    return None if (folder / ADAPTER_CONFIG).is_file() else f": {no_adapter(folder)}"


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

"""What an adapter folder holds, told alike before and after a model is loaded. Standard library only."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.spec.fleet import CONFIG

_NAMED = 5


def adapters_below(folder: Path) -> list[str]:
    """Names of the subfolders that hold an adapter."""
    return sorted(found.parent.name for found in folder.glob(f"*/{CONFIG}"))


def no_adapter(folder: Path) -> str:
    """Why a folder without an adapter's config is no adapter, and which of its subfolders are."""
    below = adapters_below(folder)
    if not below:
        return f"{folder} is no adapter: it holds no {CONFIG}"
    both = ", ".join(f"{folder.name}/{name}" for name in below[:2])
    return (
        f"{folder} holds no {CONFIG} itself, but its subfolders do ({listed(below)}): name one, "
        f"or several as adapter: [{both}] or adapter: {folder.name}/*"
    )


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

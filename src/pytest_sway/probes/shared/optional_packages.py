"""Optional dependencies of probes: which modules an extra brings, and how it is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

_MODULES = {
    "hf": ("torch",),
    "semsim": ("sentence_transformers", "sklearn"),
    "style": ("spacy", "pyphen"),
}


def extras() -> Iterable[str]:
    """Every extra."""
    return _MODULES


def why_missing(extra: str) -> str:
    """Why the extra cannot be used, with the line that installs it; empty where it can."""
    absent = [module for module in _MODULES[extra] if find_spec(module) is None]
    if not absent:
        return ""
    are = "is" if len(absent) == 1 else "are"
    return f"{' and '.join(absent)} {are} not installed; run {install_command(extra)}"


def install_command(extra: str) -> str:
    """The line that installs an extra."""
    return f"pip install 'pytest-sway[{extra}]'"

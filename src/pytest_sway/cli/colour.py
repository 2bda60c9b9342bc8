"""Colours of a terminal, where it wants any: https://no-color.org."""

from __future__ import annotations

import os
import sys

_CODES = {"green": "32", "yellow": "33", "red": "31"}


def coloured(text: str, colour: str) -> str:
    """The text, bold and in a colour, unless standard output is no terminal or ``NO_COLOR`` is set."""
    wanted = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
    if not wanted or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[1;{_CODES[colour]}m{text}\x1b[0m"

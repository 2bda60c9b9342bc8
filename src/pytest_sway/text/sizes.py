"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
}


def size_in_bytes(text: str) -> int | None:
    """Bytes, of ``512MiB`` or ``2GB``; None for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", text.strip().lower())
    unit = _UNITS.get(match[2]) if match else None
    return int(float(match[1]) * unit) if match is not None and unit is not None else None

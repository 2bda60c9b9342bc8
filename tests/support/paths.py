"""Folders of this repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
KNOWN_ADAPTERS = ROOT / "tests" / "known_adapters"

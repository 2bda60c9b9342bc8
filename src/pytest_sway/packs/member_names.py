"""Which files a pack has: their names, and how large each may be.

None is code, a configuration of pytest, a text that pytest collects (``test*.txt`` would be), or a pickle.
"""

from __future__ import annotations

import re

MANIFEST, SPEC, SOURCE, GOLDEN = "manifest.json", "sway.yaml", "source.dlm", "golden.json"
ANSWERS = "answers/portable-answers.jsonl"
BASE, ADAPTER, FILES = "base", "adapter", "files"
FILE_SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".ndjson", ".jinja")
"""Of what a spec names: sections, controls, a chat template."""
_MIB = 1 << 20
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"
SPEC_NAME = re.compile(rf"{_NAME}\.ya?ml")
_MEMBERS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(re.escape(MANIFEST)), 4 * _MIB),
    (SPEC_NAME, 4 * _MIB),
    (re.compile(re.escape(SOURCE)), 16 * _MIB),
    (re.compile(re.escape(GOLDEN)), 16 * _MIB),
    (re.compile(re.escape(ANSWERS)), 512 * _MIB),
    (re.compile(rf"{FILES}/{_NAME}({'|'.join(map(re.escape, FILE_SUFFIXES))})"), 64 * _MIB),
    (re.compile(rf"{ADAPTER}/{_NAME}\.(json|safetensors|jinja|model|jsonl)"), 1024 * _MIB),
    (re.compile(rf"{ADAPTER}/(vocab|merges)\.txt"), 64 * _MIB),
    (re.compile(rf"null-stats/{_NAME}\.json"), _MIB),
)


def largest_size(name: str) -> int:
    """Bytes that a member may have; 0 for a name that no member of a pack has."""
    return next((most for pattern, most in _MEMBERS if pattern.fullmatch(name)), 0)

"""What files, models and adapters are called in a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath


def tail(name: str) -> str:
    """The last three parts of a path; a hub id as it is."""
    label = "/".join(Path(name).parts[-3:]) if name else "(base only)"
    return f'"{label}"' if " " in label else label


def stems(paths: Sequence[str | PurePath]) -> list[str]:
    """Each file's stem, led by as many folders as tell the files apart; a file named twice is counted."""
    parts = [(*PurePath(path).parts[:-1], PurePath(path).stem) for path in paths]
    depth, labels = 1, [one[-1] for one in parts]
    while len(set(labels)) < len(set(parts)):
        depth += 1
        labels = ["/".join(one[-depth:]) for one in parts]
    seen: dict[str, int] = {}
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
    taken: dict[str, int] = {}
    unique = []
    for label in labels:
        taken[label] = taken.get(label, 0) + 1
        unique.append(f"{label} ({taken[label]})" if seen[label] > 1 else label)
    return unique

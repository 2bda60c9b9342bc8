"""Result files: one that dlm-sway wrote, and what two runs of the same suite have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DLM_SWAY_RESULT = Path(__file__).parent / "dlm-sway-0.1.0.json"
VARIES = frozenset({"started_at", "finished_at", "wall_seconds", "duration_s", "scoring_wall_s"})


def steady(value: Any, also: frozenset[str] = frozenset()) -> Any:
    """A result file without what differs from run to run, and without the keys in ``also``."""
    if isinstance(value, dict):
        return {k: steady(v, also) for k, v in value.items() if k not in VARIES | also}
    return [steady(v, also) for v in value] if isinstance(value, list) else value

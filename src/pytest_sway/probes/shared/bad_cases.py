"""What a failing probe shows of its bad cases, as `dlm harvest` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BadCase:
    """One case that went wrong.

    Attributes:
        prompt: what was asked.
        reference: what should have been answered.
        confidence: how surely it is wrong, in [0, 1].
    """

    prompt: str
    reference: str
    confidence: float


def bad_cases(cases: Sequence[BadCase]) -> dict[str, Any]:
    """Evidence of a failing probe: the worst case on top, all of them below; nothing without a case."""
    if not cases:
        return {}
    ordered = sorted(cases, key=lambda case: -case.confidence)
    return {**asdict(ordered[0]), "bad_cases": [asdict(case) for case in ordered]}

"""What a failing probe shows of its bad cases, as `dlm harvest` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_MARKUP = ("###", "::", "```", "---")
"""How lines begin that a `.dlm` file reads as its own."""


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
    worst = ordered[0]
    repaired = BadCase(_one_paragraph(worst.prompt), _one_paragraph(worst.reference), worst.confidence)
    top = next((case for case in ordered if _fits_document(case)), repaired)
    return {**asdict(top), "bad_cases": [asdict(case) for case in ordered]}


def _fits_document(case: BadCase) -> bool:
    """Whether the pair can stand in a `.dlm` file as it is."""
    return all(text == _one_paragraph(text) for text in (case.prompt, case.reference))


def _one_paragraph(text: str) -> str:
    """The text without blank lines, and without lines that begin something else in a `.dlm` file."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() and lines and line.strip().startswith(_MARKUP):
            lines[-1] += f" {line.strip()}"
        elif line.strip():
            lines.append(line)
    return "\n".join(lines)

"""Problems of a spec: all of a file's in one error, each with its line, its column and its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.user_error import UserError, escape_steering

FieldPath = tuple[str | int, ...]
"""Keys and indices that lead to a value of a spec."""
_MOST = 25
"""Problems that one message lists."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec, or a note on it; what would steer a terminal is escaped in the message.

    ``line`` and ``column`` count from 1; 0 where the position is unknown.
    """

    message: str
    line: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", escape_steering(self.message))


class SpecError(UserError):
    """A spec cannot be used; the message lists every problem that was found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda p: (p.line, p.column, p.message))
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [
            f"{self.path.name}:{p.line}:{p.column}: {p.message}"
            if p.line
            else f"{self.path.name}: {p.message}"
            for p in self.problems[:_MOST]
        ]
        if len(self.problems) > _MOST:
            more = len(self.problems) - _MOST
            lines.append(f"… and {more} more problem{'s' * (more > 1)}")
        return "\n".join(lines)

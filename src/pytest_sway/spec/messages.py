"""Problems of a spec: all of a file's in one message, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Path_ = tuple[str | int, ...]
SHOWN = 60
MOST = 25


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec; ``line`` and ``column`` count from 1, 0 where there is no place."""

    message: str
    line: int = 0
    column: int = 0


class SpecError(Exception):
    """A spec cannot be used; the message lists every problem that was found."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda p: (p.line, p.column, p.message))
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [
            f"{self.path.name}:{p.line}:{p.column}: {p.message}"
            if p.line
            else f"{self.path.name}: {p.message}"
            for p in self.problems[:MOST]
        ]
        if len(self.problems) > MOST:
            lines.append(f"… and {len(self.problems) - MOST} more")
        return "\n".join(lines)


def field_name(path: Path_) -> str:
    """``("suite", 2, "runs")`` as ``suite[2].runs``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def explain(error: Mapping[str, Any], allowed: Iterable[str]) -> str:
    """One pydantic error as: field, what was found, what to write.

    Args:
        error: an entry of ``ValidationError.errors()``.
        allowed: names of the fields beside the one at fault, for "did you mean".
    """
    kind, where = error["type"], error["loc"]
    name = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        names = sorted(allowed)
        return f"unknown key {name!r}{did_you_mean(name, names)}; allowed: {', '.join(names)}"
    if kind == "missing":
        return "is missing, and required"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return f"found {shown(error['input'])}, allowed: {expected}"
    if kind == "too_short":
        return f"found {shown(error['input'])}, give at least {error['ctx']['min_length']}"
    if kind == "string_type" and isinstance(error["input"], dict):
        return f"found {shown(error['input'])}, a mapping: a text with a colon in it needs quotes"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error":
        return f"found {shown(error['input'])}: {text}"
    return f"found {shown(error['input'])}, expected {text}"

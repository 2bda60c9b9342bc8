"""Markdown of the parts' tables: shares with intervals, verdicts against bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scipy.stats import beta
from shares import LEVELS

ALLOWED = (1.3, 2.0, 3.0)
"""How many times the nominal share may be reached at each level."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; an empty cell is a dash."""
    lines = [_line(head), "|" + " --- |" * len(head), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def percent(value: float, low: float | None = None, high: float | None = None) -> str:
    """``5.1 % (4.2–6.0)``."""
    digits = 1 if value >= 0.02 else 2
    text = f"{100 * value:.{digits}f} %"
    return text if low is None or high is None else f"{text} ({100 * low:.{digits}f}–{100 * high:.{digits}f})"


def exact(hits: int, count: int) -> str:
    """A share of independent adapters with its Clopper-Pearson interval."""
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return percent(hits / count, low, high)


def nominal(shares: Sequence[Sequence[float]]) -> str:
    """Whether the shares at :data:`LEVELS` stay within what is allowed; what is only nearly sure says so.

    Args:
        shares: value, low, high at each level.
    """
    missed = [
        f"{level:g}" + ("" if low > factor * level else " (not surely)")
        for (value, low, _), level, factor in zip(shares, LEVELS, ALLOWED, strict=True)
        if value > factor * level
    ]
    unsure = [
        f"{level:g}"
        for (_, _, high), level, factor in zip(shares, LEVELS, ALLOWED, strict=True)
        if high > factor * level
    ]
    if missed:
        return f"**missed** at {', '.join(missed)}"
    return f"met (not surely at {', '.join(unsure)})" if unsure else "met"


def least(value: float, bar: float) -> str:
    """``met`` from the bar on."""
    return "met" if value >= bar else "**missed**"


def most(value: float, bar: float) -> str:
    """``met`` up to the bar."""
    return "met" if value <= bar else "**missed**"


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join((str(cell) or "—").replace("|", "\\|") for cell in cells) + " |"

"""How a result compares with the first and the last one of a watch."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.result import SuiteResult
from pytest_sway.suites.changes import ProbeChange, changes, composite_delta


@dataclass(frozen=True)
class Evaluated:
    """A result, its number and its adapter's folder."""

    sequence: int
    adapter: str
    suite: SuiteResult


@dataclass(frozen=True)
class Comparison:
    """A result beside an earlier one.

    Attributes:
        sequence, adapter: of the earlier one.
        composite: now - then; None where one of them is partial.
        probes: every probe of either.
    """

    sequence: int
    adapter: str
    composite: float | None
    probes: tuple[ProbeChange, ...]


@dataclass(frozen=True)
class Trend:
    """A result beside the first and the last one; None where there is none before it."""

    first: Comparison | None
    last: Comparison | None


class TrendKeeper:
    """Remembers the first and the last result.

    Args:
        earlier: results of the history, oldest first; those between the ends are not needed.
    """

    def __init__(self, earlier: tuple[Evaluated, ...] = ()) -> None:
        self._first = earlier[0] if earlier else None
        self._last = earlier[-1] if earlier else None

    def add(self, now: Evaluated) -> Trend:
        """The trend of a result, which is the last one from now on."""
        trend = Trend(_comparison(self._first, now), _comparison(self._last, now))
        self._first, self._last = self._first or now, now
        return trend


def _comparison(then: Evaluated | None, now: Evaluated) -> Comparison | None:
    if then is None:
        return None
    probes = tuple(changes(then.suite, now.suite))
    return Comparison(then.sequence, then.adapter, composite_delta(then.suite, now.suite), probes)

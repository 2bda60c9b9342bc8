"""One per backend: caches answers and runs a probe on the subject and its nulls together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pytest_sway.engine.drive import Measure, drive
from pytest_sway.engine.planner import Planner, Weights
from pytest_sway.requests import Request, View, Views
from pytest_sway.result import Measurement


class Answering(Protocol):
    """A backend that answers whole requests itself: a server, or planted answers."""

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Every request's answer, or the exception that stands for it."""


class Measurable(Protocol):
    """The part of a probe that the engine drives."""

    def measure(self, options: Any, views: Views) -> Measure:
        """Measure the subject."""

    def measure_null(self, options: Any, views: Views) -> Measure:
        """Measure one null in the subject's place."""


class Outcome(NamedTuple):
    """The subject's measurement, its nulls', and which nulls failed and why."""

    measured: Measurement
    nulls: tuple[Measurement, ...]
    failed: tuple[str, ...]


class Engine:
    """Merges, de-duplicates and caches what measures ask of one backend.

    The key of an answer is the request, whose views are named by content: an answer never outlives
    the weights that made it, and order cannot change one.
    """

    def __init__(self, backend: Answering | Weights) -> None:
        self.backend = backend
        self._answers: dict[Request[Any], Any] = {}
        self._planner = None if hasattr(backend, "answer") else Planner(backend)
        self._resolution: float | None = None
        self.hits = 0
        self.misses = 0

    def run(self, probe: Measurable, options: Any, views: Views, nulls: Sequence[View] = ()) -> Outcome:
        """Drive a probe's measure on ``views`` and on each null in the place of ``views.tuned``.

        Raises:
            Exception: whatever the subject's own measure raised; a null's is one draw less.
        """
        measures = [probe.measure(options, views)]
        measures += [probe.measure_null(options, Views(views.base, null, views.author)) for null in nulls]
        subject, *others = drive(measures, self.answer)
        if isinstance(subject, Exception):
            raise subject
        good, failed = [], []
        for view, outcome in zip(nulls, others, strict=True):
            reason = _why_unusable(outcome)
            if reason or isinstance(outcome, Exception):
                failed.append(f"{view.label()}: {reason}")
            else:
                good.append(outcome)
        return Outcome(subject, tuple(good), tuple(failed))

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Answer a round: once per distinct request, from the cache where it is known."""
        missing = [r for r in dict.fromkeys(requests) if r not in self._answers]
        self.misses += len(missing)
        self.hits += len(requests) - len(missing)
        fresh: Mapping[Request[Any], Any] = {}
        if missing:
            source = self._planner if self._planner is not None else self.backend
            fresh = source.answer(missing)  # type: ignore[union-attr]
        self._answers.update((r, a) for r, a in fresh.items() if not isinstance(a, Exception))
        return {**{r: self._answers[r] for r in requests if r in self._answers}, **fresh}

    def resolution(self, base: View) -> float:
        """Divergence, in nats, of the base from itself in another batch shape; 0 for a server."""
        if self._planner is None:
            return 0.0
        if self._resolution is None:
            self._resolution = self._planner.resolution(base)
        return self._resolution

    def stats(self) -> dict[str, float]:
        """What the run cost; the contract's names, and tokens."""
        total = self.hits + self.misses
        counted = {"cache_hits": self.hits, "cache_misses": self.misses}
        rate = {"hit_rate": self.hits / total if total else 0.0}
        planned = self._planner.stats.as_dict() if self._planner is not None else {}
        return {**counted, **rate, **planned}


def _why_unusable(outcome: Measurement | Exception) -> str:
    """Why a null's outcome is no draw; empty where it is one."""
    if isinstance(outcome, Exception):
        return str(outcome)
    return "" if outcome.is_finite else "its numbers are not finite"

"""What the engine drives, what it drives it with, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_sway.engine.drive import Measure
from pytest_sway.requests import View, Views
from pytest_sway.result import Measurement


class Embedder(Protocol):
    """Makes vectors of texts."""

    def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        """A unit vector per text.

        Raises:
            RequestError: the embedder cannot be had.
        """


class Measurable(Protocol):
    """The part of a probe that the engine drives."""

    @property
    def name(self) -> str:
        """The entry's name."""

    def measure(self, views: Views) -> Measure:
        """Measure the subject."""

    def measure_null(self, views: Views) -> Measure:
        """Measure one null in the subject's place."""


class TimedOut(Exception):
    """A batch ended past its probe's time; the answers that it had are kept."""


@dataclass(frozen=True)
class RunLimits:
    """What a probe's run is held to.

    Attributes:
        keep_nulls: whether the nulls' answers may be read from disk and written there.
        deadline: on the clock of :func:`time.perf_counter`; looked at after each batch (of a server: after
            each round).
    """

    keep_nulls: bool = True
    deadline: float | None = None


@dataclass(frozen=True)
class NullOutcomes:
    """What came of a probe's measure on nulls.

    Attributes:
        measured: each null's measurement, in their order.
        failed: nulls that gave none, and why.
    """

    measured: Mapping[View, Measurement] = field(default_factory=dict)
    failed: Mapping[View, str] = field(default_factory=dict)

    def __add__(self, others: NullOutcomes) -> NullOutcomes:
        return NullOutcomes({**self.measured, **others.measured}, {**self.failed, **others.failed})


@dataclass(frozen=True)
class Outcome:
    """What came of a probe's measures.

    Attributes:
        measured: the subject's.
        nulls: the nulls'.
        prompt: the subject's first prompt as the model reads it, special tokens included; empty where the
            backend does not say, or where there is none.
    """

    measured: Measurement
    nulls: NullOutcomes = field(default_factory=NullOutcomes)
    prompt: str = ""


def null_measures(probe: Measurable, views: Views, nulls: Sequence[View]) -> list[Measure]:
    """A probe's measure on each null, in the place of ``views.tuned``."""
    return [probe.measure_null(Views(views.base, null, views.author)) for null in nulls]


def null_outcomes(nulls: Sequence[View], outcomes: Sequence[Measurement | Exception]) -> NullOutcomes:
    """The nulls' outcomes, of which an error, or a number that is not finite, is no draw."""
    measured: dict[View, Measurement] = {}
    failed: dict[View, str] = {}
    for view, outcome in zip(nulls, outcomes, strict=True):
        if isinstance(outcome, Exception):
            failed[view] = f"{view.label()}: {outcome}"
        elif not outcome.is_finite:
            failed[view] = f"{view.label()}: its values are not finite (NaN or infinity)"
        else:
            measured[view] = outcome
    return NullOutcomes(measured, failed)

"""What the engine drives, what it drives it with, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

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


class Outcome(NamedTuple):
    """What came of a probe's measures.

    Attributes:
        measured: the subject's.
        nulls: each null's, in their order.
        failed: nulls that gave none, and why.
        prompt: the subject's first prompt as the model reads it, special tokens included; empty where the
            backend does not say, or where there is none.
    """

    measured: Measurement
    nulls: Mapping[View, Measurement]
    failed: Mapping[View, str]
    prompt: str = ""

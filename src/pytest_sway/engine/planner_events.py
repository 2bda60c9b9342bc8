"""What comes out of the planner while it answers a round."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_sway.requests import Request


@dataclass(frozen=True, slots=True)
class Progress:
    """A forward is over: so many tokens are done, of so many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """Answers that are complete; each answer of a round comes in one of them.

    Attributes:
        answers: of requests, or the exceptions that stand for them.
        seconds: what the forwards of each took, where any ran.
    """

    answers: Mapping[Request[Any], Any]
    seconds: Mapping[Request[Any], float] = field(default_factory=dict)


Events = Generator[Progress | FinishedBatch, None, None]

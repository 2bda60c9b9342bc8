"""Fake completions: a word is a token, and a rule gives its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import Probe
from pytest_sway.requests import Completion, CompletionScore, Request, View, Views
from pytest_sway.result import Measurement
from pytest_sway.statistics.log_odds import log_odds

BASE, TUNED = View("b"), View("b", "a")
VIEWS = Views(BASE, TUNED, TUNED)
Loss = Callable[[Any, str, bool], float]
"""Nats per word of a completion, given its prompt, its text and whether the adapter scores it."""


def measured(probe: Probe[Any], loss: Loss, seen: list[Completion] | None = None) -> Measurement:
    """The probe's measurement where ``loss`` answers."""

    def answer(request: Request[Any]) -> CompletionScore:
        assert isinstance(request, Completion)
        if seen is not None:
            seen.append(request)
        words = len(request.completion.split())
        nats = loss(request.prompt, request.completion, request.view == TUNED)
        return CompletionScore(-words * nats, words, log_odds([-nats] * words))

    return Engine(FakeBackend(answer)).run(probe, VIEWS).measured

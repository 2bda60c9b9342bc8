"""Answers that nobody computed, to see what a probe would ask: the plan of a run before it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pytest_sway.backends.base import TokenizingBackend
from pytest_sway.data.packaged_texts import passages
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Embed,
    Generate,
    Generation,
    Request,
    RequestError,
    Tokens,
)

_DIMENSIONS = 384
_NATS = 0.1
"""A divergence that every probe takes for a signal."""
_NATS_A_TOKEN = -2.0

Known = Callable[[Sequence[Request[Any]]], Mapping[Request[Any], Any]]


class ImaginedAnswers:
    """Answers of a plausible size; every continuation is as long as it may be.

    What is known of a request already is answered with that, and a request that was imagined before is not
    noted again. Requests and tokens are real: prompts are rendered and cut by the model's own tokenizer.

    Args:
        backend: whose tokenizer it is.
        known: the answers that need not be computed again.
        note: called with the requests of each round that would have to be computed.
    """

    def __init__(
        self, backend: TokenizingBackend, known: Known, note: Callable[[Sequence[Request[Any]]], None]
    ) -> None:
        self._backend = backend
        self._known = known
        self._note = note
        self._answers: dict[Request[Any], Any] = {}
        self._prose = backend.encode(" ".join(passage.text for passage in passages()))

    def __call__(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """An answer for each request of a round, or the RequestError that stands for it."""
        asked = list(dict.fromkeys(requests))
        self._answers.update(self._known([request for request in asked if request not in self._answers]))
        missing = [request for request in asked if request not in self._answers]
        self._note(missing)
        for request in missing:
            try:
                self._answers[request] = self._imagined(request)
            except RequestError as error:
                self._answers[request] = error
        return {request: self._answers[request] for request in asked}

    def _imagined(self, request: Request[Any]) -> Any:
        if isinstance(request, Divergence):
            return _NATS
        if isinstance(request, Completion):
            ids, first = self._backend.encode_pair(request.prompt, request.completion)
            return CompletionScore(_NATS_A_TOKEN * (len(ids) - first), len(ids) - first)
        if isinstance(request, Generate):
            return self._continuation(request.max_new_tokens)
        if isinstance(request, Tokens):
            return self._backend.tokenized(request.text)
        if isinstance(request, Embed):
            return _vector(request.text)
        raise RequestError(f"no planned answer for {type(request).__name__}")

    def _continuation(self, length: int) -> Generation:
        """English prose of that many tokens."""
        repeated = self._prose * (1 + length // max(1, len(self._prose)))
        ids = tuple(repeated[:length])
        return Generation(self._backend.decode(ids), ids)


def _vector(text: str) -> tuple[float, ...]:
    """A unit vector of the text's own, at about a right angle to any other text's."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    vector = np.random.default_rng(seed).standard_normal(_DIMENSIONS)
    return tuple((vector / np.linalg.norm(vector)).tolist())

"""Answers of a llama.cpp server, whoever started it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from pytest_sway.backends.base import ServerBackend
from pytest_sway.backends.gguf.client import AdapterScale, LlamaClient
from pytest_sway.requests import View
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence


class LlamaAnswers(ServerBackend):
    """The primitives of a backend whose views are an adapter of the server's at a scale."""

    _ends: tuple[int, ...]
    """Tokens that end a text; llama.cpp knows three of a folder's."""

    @property
    @abstractmethod
    def _client(self) -> LlamaClient:
        """Asks the server."""

    @abstractmethod
    def _scale(self, view: View) -> AdapterScale | None:
        """The adapter of a view among the server's; None where it has none."""

    def target_logprobs(self, texts: Sequence[ForcedCompletion], view: View) -> list[list[float]]:
        """Log-probability of each target, in nats."""
        client, scale = self._client, self._scale(view)
        return [client.target_logprobs(text.ids, text.targets, scale) for text in texts]

    def logprobs(self, text: TokenSequence, view: View, base: object = None) -> np.ndarray:
        """Log-probabilities at the wanted positions, ``[positions, vocabulary]``."""
        del base
        first = text.first + 1
        return self._client.logprobs(text.ids[:first], text.ids[first:], self._scale(view))

    def generate(self, ids: Sequence[int], view: View, max_new_tokens: int) -> tuple[int, ...]:
        """The greedy continuation, cut before a token that ends it."""
        written = self._client.greedy(ids, max_new_tokens, self._scale(view))
        ends = [i for i, token in enumerate(written) if token in self._ends]
        return tuple(written[: ends[0]] if ends else written)

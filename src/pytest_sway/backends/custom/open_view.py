"""A view of dlm-sway's protocol while it is open: its methods called, and their answers checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_sway.backends.custom.error_line import error_line
from pytest_sway.backends.custom.next_tokens import NextTokens, read_next_tokens
from pytest_sway.requests import Completion, CompletionScore, RequestError
from pytest_sway.statistics.log_odds import log_odds
from pytest_sway.text.message_parts import describe

VIEW_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "divergence": ("next_token_dist",),
    "completion": ("logprob_of", "rolling_logprob"),
    "generate": ("generate", "rolling_logprob"),
}
"""The methods that each capability needs; ``rolling_logprob`` counts tokens."""
_TOLERANCE = 1e-3
"""How far above 0 rounding may lift a log-probability."""


class OpenView:
    """Asks a view; whatever it raises is the error of the request.

    Args:
        view: the object that the context manager gave.
        name: of the view, for messages.
        counts: tokens of texts that were counted before; the tokenizer is the same in all views.
    """

    def __init__(self, view: Any, name: str, counts: dict[str, int]) -> None:
        self._view = view
        self._name = name
        self._counts = counts

    @property
    def lacking(self) -> list[str]:
        """The methods of the protocol that it does not have."""
        methods = dict.fromkeys(name for needed in VIEW_CAPABILITIES.values() for name in needed)
        return [name for name in methods if not hasattr(self._view, name)]

    @property
    def capabilities(self) -> set[str]:
        """What its methods suffice for."""
        return {word for word, needed in VIEW_CAPABILITIES.items() if not {*needed} & {*self.lacking}}

    def next_tokens(self, text: str, top_k: int) -> NextTokens:
        """The distribution of the token after a text."""
        found = self._call("next_token_dist", text, top_k=top_k)
        try:
            return read_next_tokens(found)
        except RequestError as error:
            raise RequestError(f"{self._name}: {error}") from error

    def completion_score(self, request: Completion) -> CompletionScore:
        """The score of a completion; of a text alone where the prompt is empty."""
        if not request.prompt:
            return self._rolling_score(request.completion)
        prompt = str(request.prompt)
        tokens = self.count_tokens(prompt + request.completion) - self.count_tokens(prompt)
        if tokens < 1:
            raise RequestError(f"{self._name}: {describe(request.completion)} adds no token to its prompt")
        nats = self._call("logprob_of", prompt, request.completion)
        return CompletionScore(self._logprob(nats, "logprob_of"), tokens)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, those included that the tokenizer adds."""
        if text not in self._counts:
            self._counts[text] = self._attribute(self._rolling(text), "num_tokens", int)
        return self._counts[text]

    def continue_text(self, prompt: str, max_new_tokens: int) -> str:
        """The greedy continuation, without the prompt."""
        text = self._call("generate", prompt, max_new_tokens=max_new_tokens, temperature=0.0, seed=0)
        if not isinstance(text, str):
            raise RequestError(f"{self._name}: generate returned {describe(text)}, which is no text")
        return text

    def ids_of_continuation(self, prompt: str, text: str) -> tuple[int, ...]:
        """The token ids that a text adds to its prompt."""
        if not text:
            return ()
        ids = self._attribute(
            self._rolling(prompt + text), "token_ids", lambda found: [int(i) for i in found]
        )
        return tuple(ids[self.count_tokens(prompt) :])

    def _rolling_score(self, text: str) -> CompletionScore:
        """Of every token that has a predecessor."""
        found = self._rolling(text)
        tokens = self._attribute(found, "num_tokens", int) - 1
        if tokens < 1:
            raise RequestError(
                f"{self._name}: {describe(text)} has one token, and none before it to score it by"
            )
        total = self._logprob(self._attribute(found, "total_logprob", float), "rolling_logprob")
        nats = self._attribute(found, "logprobs", lambda given: np.asarray(given, dtype=np.float64))
        is_complete = len(nats) == tokens and bool(np.isfinite(nats).all())
        return CompletionScore(total, tokens, log_odds(nats) if is_complete else None)

    def _rolling(self, text: str) -> Any:
        return self._call("rolling_logprob", text)

    def _logprob(self, found: Any, method: str) -> float:
        """A log-probability of the view's, if it is one."""
        try:
            nats = float(found)
        except (TypeError, ValueError):
            nats = math.nan
        if not math.isfinite(nats) or nats > _TOLERANCE:
            raise RequestError(
                f"{self._name}: {method} returned {describe(found)}, which is no log-probability"
            )
        return min(nats, 0.0)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._view, method)(*arguments, **named)
        except Exception as error:
            raise RequestError(f"{self._name}: {method} raised {error_line(error)}") from error

    def _attribute(self, found: Any, name: str, convert: Any) -> Any:
        try:
            return convert(getattr(found, name))
        except (AttributeError, TypeError, ValueError) as error:
            raise RequestError(f"{self._name}: rolling_logprob's {name} cannot be read: {error}") from error

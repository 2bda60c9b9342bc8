"""A view of dlm-sway's protocol while it is open: its methods called, and their answers checked."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_sway.backends.custom.next_tokens import NextTokens, read_next_tokens
from pytest_sway.requests import Completion, CompletionScore, RequestError
from pytest_sway.statistics.log_odds import log_odds
from pytest_sway.text.message_parts import describe, describe_error

VIEW_CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "divergence": ("next_token_dist",),
    "completion": ("logprob_of", "rolling_logprob"),
    "generate": ("generate", "rolling_logprob"),
}
"""The methods that each capability needs; ``rolling_logprob`` counts tokens."""
_ROUNDING = 1e-3
"""How far above 0 rounding may lift a log-probability."""
_SUM_TOLERANCE = 1e-2
"""How far a total may be from the sum of its parts, relative to it: they may be of 16 bits."""


@dataclass(frozen=True)
class RollingLogprobs:
    """What ``rolling_logprob`` says of a text.

    Attributes:
        token_ids: of the whole text.
        nats: log-probabilities of all tokens but the first.
        total: as the view sums them; unchecked.
    """

    token_ids: tuple[int, ...]
    nats: np.ndarray
    total: Any


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
        self._distributions: dict[tuple[str, int], NextTokens] = {}

    @property
    def missing_methods(self) -> set[str]:
        """The methods of the protocol that it does not have."""
        methods = {name for needed in VIEW_CAPABILITIES.values() for name in needed}
        return {name for name in methods if not hasattr(self._view, name)}

    def next_tokens(self, text: str, top_k: int) -> NextTokens:
        """The distribution of the token after a text."""
        if (text, top_k) not in self._distributions:
            token_dist = self._call("next_token_dist", text, top_k=top_k)
            try:
                self._distributions[text, top_k] = read_next_tokens(token_dist)
            except RequestError as error:
                raise RequestError(f"{self._name}: {error}") from error
        return self._distributions[text, top_k]

    def completion_score(self, request: Completion) -> CompletionScore:
        """The score of a completion; of a text alone where the prompt is empty."""
        if not request.prompt:
            return self._rolling_score(request.completion)
        prompt = str(request.prompt)
        tokens = self.count_tokens(prompt + request.completion) - self.count_tokens(prompt)
        if tokens < 1:
            raise RequestError(
                f"{self._name}: the completion {describe(request.completion)} adds no token to its prompt"
            )
        nats = self._call("logprob_of", prompt, request.completion)
        return CompletionScore(self._logprob(nats, "logprob_of"), tokens)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, those included that the tokenizer adds."""
        if text not in self._counts:
            self._counts[text] = len(self.token_ids(text))
        return self._counts[text]

    def token_ids(self, text: str) -> tuple[int, ...]:
        """The ids of a text's tokens, those included that the tokenizer adds."""
        return self._rolling(text).token_ids

    def continue_text(self, prompt: str, max_new_tokens: int) -> str:
        """The greedy continuation, without the prompt."""
        text = self._call("generate", prompt, max_new_tokens=max_new_tokens, temperature=0.0, seed=0)
        if not isinstance(text, str):
            raise RequestError(f"{self._name}: generate returned {describe(text)}, which is not a string")
        return text

    def _rolling_score(self, text: str) -> CompletionScore:
        """Of every token that has a predecessor."""
        rolling = self._rolling(text)
        if not len(rolling.nats):
            raise RequestError(
                f"{self._name}: {describe(text)} cannot be scored: it has fewer than two tokens, and the "
                "first token of a text has no context"
            )
        total = self._logprob(rolling.total, "rolling_logprob")
        sum_of_parts = float(rolling.nats.sum())
        if not np.isfinite(sum_of_parts) or rolling.nats.max() > _ROUNDING:
            raise RequestError(
                f"{self._name}: rolling_logprob returned logprobs that are not finite or are above 0"
            )
        if abs(total - sum_of_parts) > _SUM_TOLERANCE * max(1.0, abs(sum_of_parts)):
            raise RequestError(
                f"{self._name}: rolling_logprob returned total_logprob {total:.6g}, but its logprobs sum to "
                f"{sum_of_parts:.6g}"
            )
        return CompletionScore(total, len(rolling.nats), log_odds(rolling.nats))

    def _rolling(self, text: str) -> RollingLogprobs:
        rolling = self._call("rolling_logprob", text)
        try:
            return _read_rolling_logprobs(rolling)
        except RequestError as error:
            raise RequestError(f"{self._name}: {error}") from error

    def _logprob(self, value: Any, method: str) -> float:
        """A log-probability of the view's, if it is one."""
        try:
            nats = float(value)
        except Exception:  # arrays of any library are converted here
            nats = math.nan
        if not math.isfinite(nats) or nats > _ROUNDING:
            raise RequestError(
                f"{self._name}: {method} returned {describe(value)}, which is not a log-probability"
            )
        return min(nats, 0.0)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._view, method)(*arguments, **named)
        except Exception as error:
            raise RequestError(f"{self._name}: {method} raised {describe_error(error)}") from error


def _read_rolling_logprobs(rolling: Any) -> RollingLogprobs:
    """Read a ``RollingLogprob``: its ``token_ids``, ``logprobs``, ``num_tokens`` and ``total_logprob``.

    Raises:
        RequestError: one of them cannot be read, or they do not fit each other.
    """
    try:
        ids = tuple(operator.index(token) for token in rolling.token_ids)
        nats = np.asarray(rolling.logprobs).astype(np.float64)
        tokens, total = operator.index(rolling.num_tokens), rolling.total_logprob
    except Exception as error:  # arrays of any library are converted here
        raise RequestError(
            "rolling_logprob returned token_ids, logprobs, num_tokens or total_logprob that cannot be read: "
            f"{error}; return numpy arrays or lists"
        ) from error
    if len(ids) != tokens:
        raise RequestError(f"rolling_logprob: num_tokens is {tokens}, but token_ids has {len(ids)} values")
    if nats.shape != (max(tokens - 1, 0),):
        raise RequestError(
            f"rolling_logprob: logprobs has {nats.size} values for {tokens} tokens; return one value for "
            "every token except the first"
        )
    return RollingLogprobs(ids, nats, total)

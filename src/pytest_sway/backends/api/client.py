"""Asks an OpenAI-compatible server for log-probabilities by token ids, and checks what comes back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from pytest_sway.backends.api.answers import (
    Choice,
    CompletionAnswer,
    ModelList,
    ServedModel,
    TokenizeAnswer,
    refusal_text,
)
from pytest_sway.backends.api.http_session import HttpSession, ServerAnswer, ServerLostError
from pytest_sway.backends.base import BackendError, ServerUsage
from pytest_sway.backends.server_json import check_token_ids, decode_answer, token_id
from pytest_sway.requests import RequestError
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence

Dialect = Literal["prompt_logprobs", "echo"]
"""How a server is asked to score a prompt: by vLLM's own field, or by OpenAI's ``echo``."""
_COMPLETIONS = "/v1/completions"
_GREEDY = {
    "temperature": 0,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "seed": 0,
}
"""Servers take what is not said from the model's generation config."""
_GREEDY_VLLM = {"top_k": 0, "min_p": 0, "repetition_penalty": 1}
_ID_PREFIX = "token_id:"
_IDS_AS_TOKENS = {"return_tokens_as_token_ids": True}


@dataclass(frozen=True)
class LikeliestTokens:
    """The likeliest tokens behind a text, the likeliest first.

    Attributes:
        ids: ``[k]``.
        nats: their log-probabilities, ``[k]``.
    """

    ids: np.ndarray
    nats: np.ndarray


class UnservedModelError(BackendError):
    """The server knows no model of this name."""


class CompletionsClient:
    """One server.

    Args:
        session: connections to it.
        dialect: how it scores prompts; a handshake looks.
    """

    def __init__(self, session: HttpSession, dialect: Dialect = "prompt_logprobs") -> None:
        self.session = session
        self.dialect: Dialect = dialect
        self.usage = ServerUsage()
        self._lock = threading.Lock()

    def models(self) -> list[ServedModel]:
        """What it serves.

        Raises:
            BackendError: it does not say.
        """
        answer = self.session.get("/v1/models")
        if answer.status != 200:
            raise _failure(answer, "/v1/models")
        try:
            return decode_answer(answer.content, ModelList).data
        except msgspec.MsgspecError as error:
            raise BackendError(f"the server's list of models (/v1/models) cannot be read: {error}") from error

    def tokenize(self, model: str, text: str) -> list[int] | None:
        """Ids of a text, without special tokens; None where the server has no ``/tokenize``."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        answer = self.session.post("/tokenize", body)
        if answer.status != 200:
            return None
        try:
            return decode_answer(answer.content, TokenizeAnswer).tokens
        except msgspec.MsgspecError:
            return None

    def ping(self, model: str) -> None:
        """Have a model write one token.

        Raises:
            UnservedModelError: the server does not know it.
        """
        self._complete(model, [[0]], {"max_tokens": 1})

    def target_logprobs(self, model: str, texts: Sequence[ForcedCompletion]) -> list[list[float]]:
        """Log-probability of each target of each text, in nats.

        Raises:
            RequestError: the server refuses, or answers something else than was asked.
            BackendError: it cannot be asked any more.
        """
        ids = [[*text.ids, *text.targets] for text in texts]
        score = self._prompt_logprobs if self.dialect == "prompt_logprobs" else self._echo
        rows = score(model, ids)
        return [row[len(text.ids) :] for text, row in zip(texts, rows, strict=True)]

    def top_logprobs(self, model: str, texts: Sequence[Sequence[int]], count: int) -> list[LikeliestTokens]:
        """The likeliest tokens behind each text.

        Args:
            model: a served name.
            texts: token ids.
            count: how many tokens; −1 for all.
        """
        body = {"max_tokens": 1, "logprobs": count, **_IDS_AS_TOKENS}
        return [_top(choice, count) for choice in self._complete(model, texts, body)]

    def likeliest_in(self, model: str, text: TokenSequence, count: int) -> list[LikeliestTokens]:
        """The likeliest tokens at a text's wanted positions.

        vLLM is asked for those of a prompt: beside requests for chosen tokens it answers those for the
        likeliest next ones wrongly (seen with vLLM 0.32.0 on CPUs).
        """
        if self.dialect == "echo":
            starts = [text.ids[:end] for end in range(text.first + 1, len(text.ids) + 1)]
            return self.top_logprobs(model, starts, count)
        ids = [*text.ids, text.ids[-1]]  # a token more, behind which nothing is wanted
        (choice,) = self._complete(model, [ids], {"max_tokens": 1, "prompt_logprobs": count})
        _forced(ids, choice)
        places = (choice.prompt_logprobs or [])[text.first + 1 :]
        return [
            _likeliest({token_id(t): one.logprob for t, one in (place or {}).items()}, count)
            for place in places
        ]

    def chosen_logprobs(self, model: str, ids: Sequence[int], chosen: Sequence[int]) -> np.ndarray:
        """Log-probabilities of some tokens behind a text, ``[chosen]``; vLLM's own."""
        body = {"max_tokens": 1, "logprobs": 1, "logprob_token_ids": list(chosen), **_IDS_AS_TOKENS}
        (choice,) = self._complete(model, [ids], body)
        found = _top(choice, -1)
        nats = dict(zip(found.ids.tolist(), found.nats.tolist(), strict=True))
        if not nats.keys() >= set(chosen):
            raise RequestError(
                "the server did not return the log-probabilities of all requested tokens (logprob_token_ids)"
            )
        return np.array([nats[token] for token in chosen])

    def greedy(self, model: str, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest continuation, the token that ends it included where the server gives it."""
        (choice,) = self._complete(model, [ids], {"max_tokens": count, "return_token_ids": True})
        if choice.token_ids is None or len(choice.token_ids) > count:
            raise RequestError("the server does not return the generated token ids (return_token_ids)")
        check_token_ids(choice.token_ids)
        return choice.token_ids

    def _prompt_logprobs(self, model: str, texts: Sequence[list[int]]) -> list[list[float]]:
        choices = self._complete(model, texts, {"max_tokens": 1, "prompt_logprobs": 0})
        return [_forced(ids, choice) for ids, choice in zip(texts, choices, strict=True)]

    def _echo(self, model: str, texts: Sequence[list[int]]) -> list[list[float]]:
        body = {"max_tokens": 1, "logprobs": 1, "echo": True, **_IDS_AS_TOKENS}
        choices = self._complete(model, texts, body)
        return [_echoed(ids, choice) for ids, choice in zip(texts, choices, strict=True)]

    def _complete(self, model: str, texts: Sequence[Sequence[int]], options: dict[str, Any]) -> list[Choice]:
        """A choice for each text, in their order."""
        prompts = [list(ids) for ids in texts]
        body = {"model": model, "prompt": prompts, **_GREEDY, **options}
        if self.dialect == "prompt_logprobs":
            body |= _GREEDY_VLLM
        answer = self._read(self.session.post(_COMPLETIONS, body), model)
        self._count(answer, prompts)
        choices = sorted(answer.choices, key=lambda choice: choice.index)
        if [choice.index for choice in choices] != list(range(len(prompts))):
            raise RequestError(f"the server returned {len(choices)} completions for {len(prompts)} prompts")
        for ids, choice in zip(prompts, choices, strict=True):
            if choice.prompt_token_ids not in (None, ids):
                raise RequestError("the server processed different token ids than the request contained")
        return choices

    def _read(self, answer: ServerAnswer, model: str) -> CompletionAnswer:
        if answer.status != 200:
            raise _failure(answer, _COMPLETIONS, model)
        try:
            found = decode_answer(answer.content, CompletionAnswer)
        except msgspec.MsgspecError as error:
            raise RequestError(f"the server's answer cannot be read: {error}") from error
        if found.model not in ("", model):
            raise BackendError(
                f"the request was for the model {model!r}, but the server answered with {found.model!r}"
            )
        return found

    def _count(self, answer: CompletionAnswer, prompts: Sequence[Sequence[int]]) -> None:
        """Add to the usage.

        Raises:
            RequestError: the server read more or fewer tokens than it was sent.
        """
        sent, found = sum(map(len, prompts)), answer.usage
        read = sent if found is None else found.prompt_tokens
        written = (found.completion_tokens if found is not None else None) or 0
        with self._lock:
            requests, prompt_tokens, completion_tokens = self.usage
            self.usage = ServerUsage(requests + 1, prompt_tokens + read, completion_tokens + written)
        if read != sent:
            raise RequestError(f"the server processed {read} tokens, but the request contained {sent}")


def _forced(ids: Sequence[int], choice: Choice) -> list[float]:
    """Log-probabilities of all tokens of a prompt; of the first one NaN."""
    found = choice.prompt_logprobs
    if found is None or len(found) != len(ids):
        count = "no" if found is None else str(len(found))
        raise RequestError(
            f"the server returned {count} log-probabilities for the {len(ids)} tokens of a prompt"
        )
    nats = [float("nan")]
    for token, place in zip(ids[1:], found[1:], strict=True):
        if place is None or str(token) not in place:
            raise RequestError(f"the server returned no log-probability for the token id {token} of a prompt")
        nats.append(_checked(place[str(token)].logprob))
    return nats


def _echoed(ids: Sequence[int], choice: Choice) -> list[float]:
    found = choice.logprobs
    count = 0 if found is None else len(found.token_logprobs)
    if found is None or count not in (len(ids), len(ids) + 1):  # with or without the one token it writes
        raise RequestError(
            f"the server returned {count} log-probabilities for the {len(ids)} tokens of a prompt"
        )
    if found.tokens and found.tokens[0].startswith(_ID_PREFIX):
        read = [token.removeprefix(_ID_PREFIX) for token in found.tokens[: len(ids)]]
        if read != [str(token) for token in ids]:
            raise RequestError("the server processed different token ids than the request contained")
    nats = found.token_logprobs[1 : len(ids)]
    if None in nats:
        raise RequestError("the server returned no log-probability for some tokens of a prompt")
    return [float("nan"), *(_checked(one) for one in nats if one is not None)]


def _top(choice: Choice, count: int) -> LikeliestTokens:
    found = choice.logprobs.top_logprobs if choice.logprobs is not None else None
    if not found or not found[0]:
        raise RequestError("the server returned no log-probabilities for the next token")
    named = found[0]
    if not all(name.startswith(_ID_PREFIX) for name in named):
        raise RequestError(
            "the server returns the top tokens as text, which does not identify them (it does not support "
            "return_tokens_as_token_ids)"
        )
    return _likeliest({token_id(name.removeprefix(_ID_PREFIX)): nats for name, nats in named.items()}, count)


def _likeliest(named: Mapping[int, float], count: int) -> LikeliestTokens:
    """The ``count`` likeliest of some tokens; −1 for all of them."""
    ids, nats = np.array(list(named)), np.array(list(named.values()))
    if not (nats <= _MOST_NATS).all():  # nor NaN
        raise RequestError(f"the server returned {nats.max():g}, which is not a valid log-probability")
    order = np.lexsort((ids, -nats))[: count if count > 0 else None]
    return LikeliestTokens(ids[order], nats[order])


def _checked(nats: float) -> float:
    if not nats <= _MOST_NATS:  # nor NaN
        raise RequestError(f"the server returned {nats:g}, which is not a valid log-probability")
    return nats


_MOST_NATS = 1e-3
"""A little more than 0: the arithmetic of half-precision."""


def _failure(answer: ServerAnswer, path: str, model: str = "") -> Exception:
    """What an answer without a result means."""
    reason = f"{refusal_text(answer.content)} (status {answer.status})"
    if answer.status in (401, 403):
        return BackendError(
            f"the server rejected the API key: {reason}. Set the environment variable SWAY_API_KEY or "
            "OPENAI_API_KEY, or write api_key: ${NAME} in the spec"
        )
    if answer.status == 404 and model:
        return UnservedModelError(f"the server does not serve {model!r}: {reason}")
    if answer.status == 429:
        return BackendError(f"the rate limit of the server is reached: {reason}")
    if answer.status >= 500 or answer.status == 404:
        return ServerLostError(f"the server failed on {path}: {reason}")
    return RequestError(f"the server rejected {path}: {reason}")

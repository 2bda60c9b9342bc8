"""Asks a llama.cpp server for log-probabilities by token ids.

The server has none for prompts. A grammar of token ids makes it write a given completion, and ``n_probs`` has
it say for each token what the model's distribution was before the grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.server_json import Answer, check_token_ids, decode_answer
from pytest_sway.requests import RequestError

_LEAST_NATS = float(np.log(np.finfo(np.float32).smallest_subnormal))
"""Log-probability of a token whose probability is 0 in fp32: the server says none that is less."""
_MOST_NATS = 1e-3
"""A little more than 0: the arithmetic of half-precision."""
_TIMEOUT_S = 600.0
_MOST_LOGPROBS = 1 << 17
"""In one answer; the server takes about 1.5 kB for each while it writes it."""
_TOTAL_ERROR = 1e-3


class ServerError(RequestError):
    """The server failed at what it was asked, and says that it is not the request's fault."""


class TokenLogprob(msgspec.Struct, gc=False):
    """What the server says of one token: no JSON number for a probability of 0."""

    id: int
    logprob: float | None


class Position(TokenLogprob, gc=False):
    """The token that was written at a position, and the likeliest ones."""

    top_logprobs: list[TokenLogprob] = []


class CompletionAnswer(msgspec.Struct, gc=False):
    """What ``/completion`` answers."""

    tokens: list[int]
    completion_probabilities: list[Position] = []
    stop_type: str = ""


class TokenizeAnswer(msgspec.Struct):
    """What ``/tokenize`` answers."""

    tokens: list[int]


class GenerationSettings(msgspec.Struct):
    """What a text of this server's may be: ``n_ctx`` tokens long."""

    n_ctx: int


class ServerProperties(msgspec.Struct):
    """What ``/props`` answers."""

    default_generation_settings: GenerationSettings
    total_slots: int = 1
    model_path: str = ""


class LoadedAdapter(msgspec.Struct):
    """An entry of ``/lora-adapters``."""

    id: int
    path: str


class ErrorText(msgspec.Struct):
    """Why the server refuses."""

    message: str


class ErrorAnswer(msgspec.Struct):
    """What the server answers where it refuses."""

    error: ErrorText


class AdapterScale(NamedTuple):
    """One of the adapters that the server was started with; the others are at 0.

    Attributes:
        number: its place in the server's list.
        scale: factor on its update; 0 is the base.
    """

    number: int
    scale: float


class LlamaClient:
    """One server.

    Args:
        url: where it listens.
        vocabulary: width of the logits.
        connections: how many texts are asked side by side.
        api_key: where the server wants one.
    """

    def __init__(self, url: str, vocabulary: int, connections: int, api_key: str = "") -> None:
        self.url = url
        self._vocabulary = vocabulary
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(
            base_url=url, timeout=_TIMEOUT_S, limits=limits, headers=headers, trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def target_logprobs(
        self, ids: Sequence[int], targets: Sequence[int], adapter: AdapterScale | None
    ) -> list[float]:
        """Log-probability of each target, in nats, after ``ids`` and the targets before it.

        Raises:
            RequestError: the server cannot answer.
            BackendError: there is no server any more.
        """
        try:
            found = [place.logprob for place in self._forced(ids, targets, adapter, 1)]
        except ServerError:
            found = []
        if not found or None in found:  # of a probability of 0, or of NaN, which the distributions tell apart
            rows = self._one_by_one(ids, targets[:-1], adapter)
            return [float(row[target]) for row, target in zip(rows, targets, strict=True)]
        return [_nats(nats) for nats in found]

    def logprobs(
        self, ids: Sequence[int], targets: Sequence[int], adapter: AdapterScale | None
    ) -> np.ndarray:
        """Distributions after ``ids`` and after each target: fp32, ``[1 + targets, vocabulary]``.

        Raises:
            RequestError: the server cannot answer.
            BackendError: there is no server any more.
        """
        try:
            rows = self._distributions(ids, targets, adapter)
        except ServerError:
            return self._one_by_one(ids, targets, adapter)
        return np.stack([*rows, self._distribution(self._next([*ids, *targets], adapter))])

    def greedy(self, ids: Sequence[int], count: int, adapter: AdapterScale | None) -> list[int]:
        """The likeliest continuation, at most ``count`` tokens, without the token that ended it.

        Raises:
            RequestError: the server cannot answer.
            BackendError: there is no server any more.
        """
        answer = self._complete(ids, adapter, n_predict=count)
        check_token_ids(answer.tokens)
        return answer.tokens[:-1] if answer.stop_type == "eos" else answer.tokens

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text by the tokenizer in the server's file, without special tokens.

        Raises:
            RequestError: the server cannot answer.
            BackendError: there is no server any more.
        """
        return self._post("/tokenize", {"content": text, "add_special": False}, TokenizeAnswer).tokens

    def properties(self) -> ServerProperties:
        """What the server was started with.

        Raises:
            BackendError: it does not answer, or is no llama-server.
        """
        return self._get("/props", ServerProperties)

    def loaded_adapters(self) -> list[LoadedAdapter]:
        """The adapters that it was started with; errors are those of :meth:`properties`."""
        return self._get("/lora-adapters", list[LoadedAdapter])

    def _get(self, path: str, answer: type[Answer]) -> Answer:
        try:
            response = self._http.get(path)
            if response.status_code == httpx.codes.OK:
                return decode_answer(response.content, answer)
        except httpx.HTTPError as error:
            raise BackendError(f"the llama.cpp server at {self.url} does not answer: {error}") from error
        except msgspec.MsgspecError as error:
            raise BackendError(
                f"{self.url} is not a llama-server: its answer to {path} has another format ({error})"
            ) from error
        raise BackendError(
            f"{self.url} is not a llama-server, or it needs an API key ({path} returned status "
            f"{response.status_code})"
        )

    def _forced(
        self, ids: Sequence[int], targets: Sequence[int], adapter: AdapterScale | None, most: int
    ) -> list[Position]:
        """What the server says of each target's position: of the target itself and of ``most`` tokens.

        Raises:
            ServerError: a target ends a text, and the server follows no grammar beyond one that does.
        """
        grammar = "root ::= " + " ".join(f"<[{token}]>" for token in targets)
        answer = self._complete(ids, adapter, n_predict=len(targets), n_probs=most, grammar=grammar)
        if answer.tokens != list(targets):
            raise RequestError(
                f"the server generated {len(answer.tokens)} tokens that do not match the {len(targets)} "
                "tokens of the grammar. This version of llama.cpp does not support grammars of token ids"
            )
        found = answer.completion_probabilities
        if [place.id for place in found] != list(targets):
            raise RequestError(
                f"the server returned log-probabilities of {len(found)} tokens that do not match the "
                f"{len(targets)} tokens that it generated"
            )
        return found

    def _distributions(
        self, ids: Sequence[int], targets: Sequence[int], adapter: AdapterScale | None
    ) -> list[np.ndarray]:
        """What stood before each target; a few positions in an answer, since its JSON takes memory."""
        size = max(1, _MOST_LOGPROBS // self._vocabulary)
        rows: list[np.ndarray] = []
        for start in range(0, len(targets), size):
            before, here = [*ids, *targets[:start]], targets[start : start + size]
            rows += map(self._distribution, self._forced(before, here, adapter, self._vocabulary))
        return rows

    def _one_by_one(
        self, ids: Sequence[int], targets: Sequence[int], adapter: AdapterScale | None
    ) -> np.ndarray:
        """What :meth:`logprobs` answers, without a grammar: a completion for each position."""
        texts = [[*ids, *targets[:count]] for count in range(len(targets) + 1)]
        return np.stack([self._distribution(self._next(text, adapter)) for text in texts])

    def _next(self, ids: Sequence[int], adapter: AdapterScale | None) -> Position:
        answer = self._complete(ids, adapter, n_predict=1, n_probs=self._vocabulary)
        if not answer.completion_probabilities:
            raise RequestError("the server returned no log-probabilities for the next token")
        return answer.completion_probabilities[0]

    def _distribution(self, place: Position) -> np.ndarray:
        found = place.top_logprobs
        if len(found) != self._vocabulary:
            raise RequestError(
                f"the server returned log-probabilities for {len(found)} of the {self._vocabulary} tokens of "
                "a position"
            )
        ids = [one.id for one in found]
        if set(ids) != set(range(self._vocabulary)):
            raise RequestError(
                f"the server's answer does not name each of its {self._vocabulary} tokens once"
            )
        row = np.empty(self._vocabulary, np.float32)
        row[ids] = [_nats(one.logprob) for one in found]
        total = float(np.exp(row.astype(np.float64)).sum())
        if not abs(total - 1.0) < _TOTAL_ERROR:  # nor with a NaN
            raise RequestError(
                f"the probabilities of the next token sum to {total:g} instead of 1. Either the model's "
                "outputs for this text are not finite, or the server modifies the probabilities"
            )
        return row

    def _complete(self, ids: Sequence[int], adapter: AdapterScale | None, **options: Any) -> CompletionAnswer:
        """One completion. ``lora`` always stands: without it the server adds every adapter that it knows."""
        lora = [] if adapter is None else [{"id": adapter.number, "scale": adapter.scale}]
        body = {
            "prompt": list(ids),
            "temperature": 0,
            "cache_prompt": False,
            "return_tokens": True,
            "lora": lora,
            "response_fields": ["tokens", "completion_probabilities", "stop_type"],
            **options,
        }
        return self._post("/completion", body, CompletionAnswer)

    def _post(self, path: str, body: dict[str, Any], answer: type[Answer]) -> Answer:
        try:
            response = self._http.post(path, json=body)
        except httpx.TimeoutException as error:
            raise RequestError(f"the llama.cpp server took more than {_TIMEOUT_S:.0f} s to answer") from error
        except httpx.TransportError as error:
            raise BackendError(f"the llama.cpp server stopped answering: {error}") from error
        try:
            if response.status_code == httpx.codes.OK:
                return decode_answer(response.content, answer)
            refusal = decode_answer(response.content, ErrorAnswer).error.message
        except msgspec.MsgspecError as error:
            status = f"status {response.status_code}"
            raise RequestError(f"the llama.cpp server's answer ({status}) cannot be read: {error}") from error
        kind = ServerError if response.is_server_error else RequestError
        raise kind(f"the llama.cpp server rejected {path}: {refusal}")


def _nats(found: float | None) -> float:
    """A log-probability as the server writes it; of a probability of 0 it is no number, or none of JSON's."""
    if found is not None and found > _MOST_NATS:
        raise RequestError(f"the server returned {found:g}, which is not a valid log-probability")
    return _LEAST_NATS if found is None else max(found, _LEAST_NATS)

"""Readers of what servers answer: OpenAI-compatible ones, llama.cpp's, and ``sway serve``."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from hypothesis import strategies as st

from pytest_sway.backends.api.answers import refusal_text
from pytest_sway.backends.api.client import CompletionsClient
from pytest_sway.backends.api.handshake import check_supported, shake_hands
from pytest_sway.backends.api.http_session import ServerAnswer
from pytest_sway.backends.api.truth_checks import TrialText, check_greedy
from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.client import LlamaClient
from pytest_sway.client import ServeClient, ServeClientError
from pytest_sway.requests import RequestError
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence
from tests.fuzz.mutations import documents, json_documents
from tests.fuzz.reader import Reader, each_step

_REFUSALS = (BackendError, RequestError)
_URL = "http://127.0.0.1:1"
_VOCABULARY = 4
_IDS = (0, 1, 2)
_TRIAL = TrialText("a b c", _IDS, _VOCABULARY)
_TEXT = ForcedCompletion(_IDS[:1], _IDS[1:])
_WANTED = TokenSequence(_IDS, 1)
_TOP = {f"token_id:{token}": -1.4 for token in range(_VOCABULARY)}
_LIKELIEST = {str(token): {"logprob": -1.4, "rank": 1} for token in range(_VOCABULARY)}
_VLLM: dict[str, Any] = {
    "model": "m",
    "choices": [{
        "index": 0, "token_ids": [1], "prompt_token_ids": None,
        "prompt_logprobs": [None, _LIKELIEST, {**_LIKELIEST, "2": {"logprob": -1.2}}],
        "logprobs": {"tokens": ["token_id:1"], "token_logprobs": [-1.4], "top_logprobs": [_TOP]},
    }],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}  # fmt: skip
_LONGER = {
    **_VLLM,
    "choices": [{**_VLLM["choices"][0], "prompt_logprobs": [None, *[_LIKELIEST] * 3]}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1},
}
"""Of a prompt with one more token, behind which nothing is wanted."""
_ECHO = {
    "choices": [{
        "logprobs": {"tokens": [f"token_id:{token}" for token in (*_IDS, 1)],
                     "token_logprobs": [None, -1.0, -2.0, -1.4], "top_logprobs": [_TOP]},
    }],
}  # fmt: skip
_ERROR = {"error": {"message": "no such model", "code": 404}}
_MODELS = {
    "object": "list",
    "data": [
        {"id": "m", "owned_by": "vllm", "root": "/base", "parent": None, "max_model_len": 128},
        {"id": "b", "owned_by": "library", "status": {"value": "loaded"}},
    ],
}


class _Session:
    """Gives sound answers, but for one path."""

    url = _URL

    def __init__(self, path: str, answer: ServerAnswer) -> None:
        sound = {"/v1/models": _MODELS, "/v1/completions": _VLLM, "/tokenize": {"tokens": _IDS},
                 "/version": {"version": "0.32.0"}}  # fmt: skip
        self._answers = {name: ServerAnswer(200, json.dumps(one).encode()) for name, one in sound.items()}
        self._answers[path] = answer

    def get(self, path: str) -> ServerAnswer:
        return self._answers.get(path, ServerAnswer(404, b"{}"))

    def post(self, path: str, body: dict[str, Any], *, repeats: bool = True) -> ServerAnswer:
        return self.get(path)


def _session(path: str, status: int, content: bytes) -> Any:
    return _Session(path, ServerAnswer(status, content))


def _read_api(path: str) -> Callable[[Path], None]:
    """Whatever is asked of a server that answers so to one path."""

    def read(file: Path) -> None:
        content = file.read_bytes()
        refusal_text(content)
        client = CompletionsClient(_session(path, 200, content))
        each_step(_REFUSALS, [
            lambda: check_supported(client),
            lambda: _check_scores(client.target_logprobs("m", [_TEXT])),
            lambda: client.top_logprobs("m", [_IDS], -1),
            lambda: client.likeliest_in("m", _WANTED, 2),
            lambda: client.chosen_logprobs("m", _IDS, [1, 2]),
            lambda: _check_ids(client.greedy("m", _IDS, 2)),
            lambda: check_greedy(client, "m", _TRIAL, "m"),
            lambda: _check_scores(
                CompletionsClient(client.session, "echo").target_logprobs("m", [_TEXT])
            ),
            lambda: shake_hands(client, "m", _TRIAL, None),
        ])  # fmt: skip
        for status in (401, 404, 500):
            refused = CompletionsClient(_session(path, status, content))
            steps: list[Callable[[], object]] = [refused.models]
            steps += [partial(refused.ping, "m"), partial(refused.tokenize, "m", "a")]
            each_step(_REFUSALS, steps)

    return read


def _check_scores(rows: list[list[float]]) -> None:
    """One number for each target, with which a probe may go on."""
    assert np.shape(rows) == (1, len(_IDS) - 1), rows
    assert np.isfinite(rows).all(), rows
    assert np.max(rows) <= 1e-3, rows


def _check_distributions(rows: np.ndarray) -> None:
    assert rows.shape == (len(_IDS), _VOCABULARY)
    assert np.allclose(np.exp(rows).sum(axis=1), 1.0, atol=1e-2)


def _check_ids(ids: list[int]) -> None:
    assert all(0 <= one < 1 << 31 for one in ids), ids


class _Server:
    """Gives one answer to whatever it is asked."""

    def __init__(self) -> None:
        self.content, self.status = b"", 200
        self.http = httpx.Client(base_url=_URL, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, content=self.content)


_SERVER = _Server()
_LLAMA_CLIENT, _DAEMON_CLIENT = LlamaClient(_URL, _VOCABULARY, 1), ServeClient(_URL)
_LLAMA_CLIENT._http = _DAEMON_CLIENT._http = _SERVER.http


def _read_llama(file: Path) -> None:
    client, _SERVER.content = _LLAMA_CLIENT, file.read_bytes()
    for _SERVER.status in (200, 400, 500):
        each_step(_REFUSALS, [
            lambda: _check_scores([client.target_logprobs(_IDS[:1], _IDS[1:], None)]),
            lambda: _check_distributions(client.logprobs(_IDS[:1], _IDS[1:], None)),
            lambda: _check_ids(client.greedy(_IDS, 2, None)),
            lambda: client.tokenize("a"),
            client.properties,
            client.loaded_adapters,
        ])  # fmt: skip


def _read_daemon(file: Path) -> None:
    client, _SERVER.content = _DAEMON_CLIENT, file.read_bytes()
    for _SERVER.status in (200, 400):
        for ask in (client.health, lambda: client.run({}), lambda: list(client.events({}))):
            try:
                ask()
            except ServeClientError as refusal:
                assert str(refusal).strip()


_LIKELIHOODS = [{"id": token, "logprob": float(np.log(0.25))} for token in range(_VOCABULARY)]
_PLACES = [{**_LIKELIHOODS[token], "top_logprobs": _LIKELIHOODS} for token in _IDS[1:]]
_LLAMA = (
    {"tokens": [1, 2], "completion_probabilities": _PLACES, "stop_type": "eos"},
    {"tokens": [1], "completion_probabilities": _PLACES[:1]},
    {"default_generation_settings": {"n_ctx": 128}, "total_slots": 1, "model_path": "/base.gguf"},
    [{"id": 0, "path": "/adapter.gguf", "scale": 0.0}],
    {"error": {"code": 400, "message": "no"}},
)
_EVENTS = [{"event": "progress", "name": "a"}, {"event": "complete", "result": {"probes": []}}]


def _event_stream(events: Any) -> bytes:
    rows = events if isinstance(events, list) else [events]
    return "".join(f"data: {json.dumps(row)}\n\n" for row in rows).encode()


def _api_reader(name: str, path: str, contents: st.SearchStrategy[bytes]) -> Reader:
    return Reader(name, "answer.json", _read_api(path), _REFUSALS, contents)


READERS = [
    _api_reader("api-completions", "/v1/completions", json_documents(_VLLM, _LONGER, _ECHO, _ERROR)),
    _api_reader("api-models", "/v1/models", json_documents(_MODELS, _ERROR)),
    _api_reader("api-tokenize", "/tokenize", json_documents({"tokens": list(_IDS), "count": 3}, _ERROR)),
    _api_reader("api-version", "/version", json_documents({"version": "0.32.0"}, _ERROR)),
    Reader("llama-server", "answer.json", _read_llama, _REFUSALS, json_documents(*_LLAMA)),
    Reader("daemon-answer", "answer.json", _read_daemon, (ServeClientError,),
           json_documents(_EVENTS[1], _ERROR) | documents([_EVENTS], _event_stream)),
]  # fmt: skip

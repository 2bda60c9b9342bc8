"""A server that answers otherwise than llama.cpp: a real one, on a port of this machine."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.client import AdapterScale, LlamaClient
from pytest_sway.requests import RequestError

V = 4
LIKELIHOODS = (0.4, 0.3, 0.2, 0.1)
Reply = Callable[[dict[str, Any]], tuple[int, bytes]]


def as_llama(request: dict[str, Any], likelihoods: Sequence[float] = LIKELIHOODS) -> dict[str, Any]:
    """What llama.cpp answers: the tokens of the grammar, else token 2; no number for the logarithm of 0."""
    grammar = request.get("grammar", "root ::= <[2]>")
    tokens = [int(part[2:-2]) for part in grammar.removeprefix("root ::= ").split()]
    every = [{"id": i, "logprob": math.log(p) if p else None} for i, p in enumerate(likelihoods)]
    places = [{**every[token], "top_logprobs": every[: request.get("n_probs", 0)]} for token in tokens]
    return {"tokens": tokens, "completion_probabilities": places}


def ok(content: Any) -> tuple[int, bytes]:
    return 200, json.dumps(content).encode()


@contextmanager
def served_by(reply: Reply) -> Iterator[tuple[LlamaClient, list[dict[str, Any]]]]:
    """A client of a server that replies so, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, content = reply(asked[-1])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if status else 10**6))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = not status

        def log_message(self, *args: Any) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = LlamaClient(f"http://127.0.0.1:{server.server_port}", V, 1)
    try:
        yield client, asked
    finally:
        client.close()
        server.shutdown()
        server.server_close()


def test_every_request_names_its_adapter_and_keeps_nothing() -> None:
    with served_by(lambda request: ok(as_llama(request))) as (client, asked):
        found = client.target_logprobs([7, 8], [3, 1], AdapterScale(2, 0.5))
        assert found == [math.log(0.1), math.log(0.3)]
        assert client.logprobs([7], [3], None).shape == (2, V)
        assert client.greedy([7], 5, AdapterScale(0, 0.0)) == [2]
    assert [one["lora"] for one in asked] == [[{"id": 2, "scale": 0.5}], [], [], [{"id": 0, "scale": 0.0}]]
    assert {one["cache_prompt"] for one in asked} == {False}
    assert asked[0]["grammar"] == "root ::= <[3]> <[1]>"
    assert [one["n_predict"] for one in asked] == [2, 1, 1, 5]


@pytest.mark.parametrize(("stop_type", "written"), [("eos", [3]), ("limit", [3, 2])])
def test_the_token_that_ended_a_continuation_is_none_of_it(stop_type: str, written: list[int]) -> None:
    with served_by(lambda request: ok({"tokens": [3, 2], "stop_type": stop_type})) as (client, _):
        assert client.greedy([7], 5, None) == written


def test_a_probability_of_0_is_the_least_that_fp32_knows() -> None:
    least = np.log(np.finfo(np.float32).smallest_subnormal)
    with served_by(lambda request: ok(as_llama(request, (0.5, 0.3, 0.2, 0.0)))) as (client, _):
        assert client.target_logprobs([7], [3, 1], None) == pytest.approx([least, math.log(0.3)])


def without_grammar(request: dict[str, Any]) -> dict[str, Any]:
    return as_llama({**request, "grammar": "root ::= <[2]> <[2]>"})


def fewer(request: dict[str, Any]) -> dict[str, Any]:
    return as_llama({**request, "n_probs": 3})


def changed(request: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An answer whose every position has other fields."""
    answer = as_llama(request)
    answer["completion_probabilities"] = [{**place, **fields} for place in answer["completion_probabilities"]]
    return answer


TWICE = [{"id": 0, "logprob": math.log(0.25)}] * V


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (lambda request: ok(changed(request, id=0)), "log-probabilities of 1 tokens that do not match the 1"),
        (lambda request: ok({"tokens": [3]}), "log-probabilities of 0 tokens that do not match the 1"),
        (lambda request: ok(changed(request, top_logprobs=TWICE)), "does not name each of its 4 tokens once"),
        (
            lambda request: (200, b'{"x": ' + b"[" * 100_000),
            r"\(status 200\) cannot be read: JSON is nested too deeply",
        ),
        (lambda request: ok(without_grammar(request)), "generated 2 tokens that do not match the 1 tokens"),
        (lambda request: ok(as_llama(request, (0.4, 0.3, 0.2, 0.0))), "sum to 0.9 instead of 1"),
        (lambda request: ok(fewer(request)), "returned log-probabilities for 3 of the 4 tokens"),
        (lambda request: (200, b"<html>"), r"the llama\.cpp server's answer \(status 200\) cannot be read"),
        (lambda request: ok({"choices": []}), r"answer \(status 200\) cannot be read: .*tokens"),
        (lambda request: ok({**as_llama(request), "tokens": ["a"]}), r"\(status 200\) cannot be read"),
        (
            lambda request: (400, b'{"error": {"message": "the request exceeds the context size"}}'),
            "rejected /completion: the request exceeds the context size",
        ),
        (lambda request: (502, b"Bad Gateway"), r"\(status 502\) cannot be read"),
        (lambda request: (500, b'{"error": {"message": "no slot"}}'), "rejected /completion: no slot"),
    ],
)
def test_an_answer_that_is_none_is_an_error(reply: Reply, says: str) -> None:
    with served_by(reply) as (client, _), pytest.raises(RequestError, match=says):
        client.logprobs([7], [3], None)


def test_a_logarithm_above_0_is_no_probability() -> None:
    says = "returned 3.5, which is not a valid log-probability"
    reply: Reply = lambda request: ok(changed(request, logprob=3.5))  # noqa: E731
    with served_by(reply) as (client, _), pytest.raises(RequestError, match=says):
        client.target_logprobs([7], [3], None)


def test_an_id_that_no_tokenizer_has() -> None:
    says = "returned 1099511627776 as a token id"
    with served_by(lambda _: ok({"tokens": [2**40]})) as (client, _), pytest.raises(RequestError, match=says):
        client.greedy([7], 5, None)


def test_a_connection_that_is_cut_ends_the_run() -> None:
    says = r"the llama\.cpp server stopped answering: "
    with served_by(lambda request: (0, b"{")) as (client, _), pytest.raises(BackendError, match=says):
        client.greedy([7], 3, None)


def test_what_the_grammar_fails_at_is_asked_one_by_one() -> None:
    def reply(request: dict[str, Any]) -> tuple[int, bytes]:
        if "grammar" in request:
            return 500, b'{"error": {"message": "Unexpected empty grammar stack"}}'
        return ok(as_llama(request))

    with served_by(reply) as (client, asked):
        expected = np.log(np.array(LIKELIHOODS, np.float32))
        assert client.target_logprobs([7], [3, 1, 0], None) == pytest.approx(expected[[3, 1, 0]].tolist())
        assert [one["prompt"] for one in asked[1:]] == [[7], [7, 3], [7, 3, 1]]
        assert client.logprobs([7], [3], None) == pytest.approx(np.array([expected] * 2))

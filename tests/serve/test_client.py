"""`ServeClient` and a server that misbehaves: what is asked again, and what is said."""

from __future__ import annotations

import json

import pytest

from pytest_sway.client import ServeClient, ServeClientError
from tests.serve.conftest import Answering, free_port


def _json(**content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("status", [429, 503])
def test_what_only_reads_is_asked_again(answering: Answering, status: int) -> None:
    busy = (status, _json(error="later"))
    client, seen = answering(busy, busy, (200, _json(status="ok")))
    with client:
        assert client.health() == {"status": "ok"}
    assert seen == ["GET /health"] * 3


def test_it_is_asked_three_times_at_most(answering: Answering) -> None:
    client, seen = answering(*[(503, _json(error="later"))] * 4)
    with client, pytest.raises(ServeClientError, match="503: later") as error:
        client.stats()
    assert error.value.status == 503
    assert len(seen) == 3


def test_a_run_is_never_asked_again(answering: Answering) -> None:
    client, seen = answering((503, _json(error="the worker ended")), (200, _json()))
    with client, pytest.raises(ServeClientError, match="the worker ended"):
        client.run({})
    assert seen == ["POST /run"]
    with client, pytest.raises(ServeClientError, match="nothing listens there"):
        ServeClient(f"http://127.0.0.1:{free_port()}").run({})


def test_what_is_wrong_is_asked_once(answering: Answering) -> None:
    client, seen = answering((404, _json(error="there is no such run")))
    with client, pytest.raises(ServeClientError, match="404: there is no such run"):
        client.find("1")
    assert len(seen) == 1


@pytest.mark.parametrize("content", [b"<html>a proxy</html>", b"[1]", b'"text"'])
def test_answers_of_something_else_are_errors_of_the_client(answering: Answering, content: bytes) -> None:
    client, _ = answering((200, content), (502, content))
    with client:
        with pytest.raises(ServeClientError, match="is no answer of sway serve"):
            client.health()
        with pytest.raises(ServeClientError, match="502: "):
            client.health()


def test_an_answer_that_is_cut_off(answering: Answering) -> None:
    client, _ = answering((200, b'{"status":'), length=100)
    with client, pytest.raises(ServeClientError, match=str(client._http.base_url)):
        client.health()


@pytest.mark.parametrize("line", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"a": 1}\n\n'])
def test_events_that_are_none(answering: Answering, line: bytes) -> None:
    client, _ = answering((200, line))
    with client, pytest.raises(ServeClientError, match="is no answer of sway serve"):
        list(client.events({}))


def test_events_as_they_come(answering: Answering) -> None:
    lines = b': it goes on\n\nevent: queued\ndata: {"event": "queued"}\n\n'
    client, seen = answering((200, lines), (400, _json(error="spec: found nothing")))
    with client:
        assert list(client.events({}, probe_names=["x"])) == [{"event": "queued"}]
        with pytest.raises(ServeClientError, match="400: spec: found nothing"):
            list(client.events({}))
    assert seen == ["POST /run"] * 2


@pytest.mark.parametrize("url", ["ftp://x", "no address", "http://[", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ServeClientError), ServeClient(url) as client:
        client.health()

"""`ServeClient` and a server that misbehaves: what is asked again, and what is said."""

from __future__ import annotations

import json

import pytest

from pytest_sway.client import ServeClient, ServeClientError
from pytest_sway.items.served_probes import ServedRun
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
    with client, pytest.raises(ServeClientError, match="cannot connect to http"):
        ServeClient(f"http://127.0.0.1:{free_port()}").run({})


def test_what_is_wrong_is_asked_once(answering: Answering) -> None:
    client, seen = answering((404, _json(error="no such run")))
    with client, pytest.raises(ServeClientError, match="404: no such run"):
        client.find("1")
    assert len(seen) == 1


@pytest.mark.parametrize("content", [b"<html>a proxy</html>", b"[1]", b'"text"'])
def test_answers_of_something_else_are_errors_of_the_client(answering: Answering, content: bytes) -> None:
    client, _ = answering((200, content), (502, content))
    with client:
        with pytest.raises(ServeClientError, match="is not an answer of sway serve"):
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
    with client, pytest.raises(ServeClientError, match="is not an answer of sway serve"):
        list(client.events({}))


def test_events_as_they_come(answering: Answering) -> None:
    lines = b': it goes on\n\nevent: queued\ndata: {"event": "queued"}\n\n'
    client, seen = answering((200, lines), (400, _json(error="spec: found nothing")))
    with client:
        assert list(client.events({}, probe_names=["x"])) == [{"event": "queued"}]
        with pytest.raises(ServeClientError, match="400: spec: found nothing"):
            list(client.events({}))
    assert seen == ["POST /run"] * 2


def test_keys(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServeClientError) as error:
        ServeClient(api_key="secret\nkey")
    assert "secret" not in str(error.value)
    proxy, seen = answering((200, _json(status="the proxy's")))
    client, own = answering((200, _json(status="ok")))
    monkeypatch.setenv("HTTP_PROXY", str(proxy._http.base_url))
    with ServeClient(str(client._http.base_url), api_key="secret\n") as asking:
        assert asking.health() == {"status": "ok"}
    assert (seen, own) == ([], ["GET /health"])


def test_names_that_are_none(answering: Answering) -> None:
    client, _ = answering()
    with client, pytest.raises(ServeClientError):
        client.find("a\nb")


def test_a_session_cancels_what_it_does_not_wait_for(answering: Answering) -> None:
    result = {"name": "a", "kind": "delta_kl", "verdict": "pass", "score": 1.0}
    events = [{"event": "queued", "run_id": "1"}, {"event": "result", "result": result, "context": None}]
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    client, seen = answering((200, lines), (202, _json()))
    run = ServedRun(client, {}, "sway.yaml", ["a", "b"])
    assert run.result("a")[0].name == "a"
    run.close()
    assert seen == ["POST /run", "DELETE /runs/1"]
    client, seen = answering((200, lines + b'data: {"event": "complete"}\n\n'))
    run = ServedRun(client, {}, "sway.yaml", ["a"])
    assert run.result("a")[0].name == "a"
    run.close()
    assert seen == ["POST /run"]


@pytest.mark.parametrize("url", ["ftp://x", "no address", "http://[", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ServeClientError), ServeClient(url) as client:
        client.health()

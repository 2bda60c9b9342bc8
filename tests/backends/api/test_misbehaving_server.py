"""Busy, slow, cut, huge, unreadable: what is worth it is asked again, all else is a clear error."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from pytest_sway.backends.api import http_session
from pytest_sway.backends.api.client import CompletionsClient, UnservedModelError
from pytest_sway.backends.api.endpoints import Endpoint, endpoint_of
from pytest_sway.backends.api.http_session import HttpSession
from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, RequestError
from pytest_sway.token_sequences import ForcedCompletion
from tests.backends.api.conftest import Open
from tests.support.completions_server import CompletionsServer, error, running
from tests.support.paths import QUICKSTART

HEALTHY = AdapterKey(str(QUICKSTART / "adapters" / "healthy"))
TEXT = ForcedCompletion((5, 6), (7,))
GOOD = {
    "model": "m",
    "choices": [{"index": 0, "prompt_logprobs": [None, {"6": {"logprob": -1.0}}, {"7": {"logprob": -2.0}}]}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}


class Scripted:
    """Gives its replies in order, the last one forever."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    def reply(self, path: str, body: dict[str, Any]) -> Any:
        self.asked.append((path, body))
        found = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return found() if callable(found) else found


def ask(server: Scripted, texts: int = 1, key: str = "") -> list[list[float]]:
    session = HttpSession(Endpoint(server.url, key), 4)
    try:
        return CompletionsClient(session).target_logprobs("m", [TEXT] * texts)
    finally:
        session.close()


def failure(server: Scripted, kind: type[Exception], **options: Any) -> str:
    with running(server), pytest.raises(kind) as failed:
        ask(server, **options)
    return str(failed.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(status: int, quick_retries: None) -> None:
    with running(Scripted(error(status, "busy"), error(status, "busy"), (200, GOOD))) as server:
        assert ask(server) == [[-2.0]]
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_is_not(status: int) -> None:
    server = Scripted(error(status, "no such thing"))
    kind = UnservedModelError if status == 404 else RequestError
    assert "no such thing" in failure(server, kind)
    assert len(server.asked) == 1


def test_the_server_says_when(quick_retries: None) -> None:
    with running(Scripted((429, b"", {"Retry-After": "0.3"}), (200, GOOD))) as server:
        began = time.perf_counter()
        assert ask(server) == [[-2.0]]
        assert time.perf_counter() - began >= 0.3


def test_a_pause_that_is_too_long_is_not_waited_for(quick_retries: None) -> None:
    server = Scripted((429, {"error": {"message": "quota"}}, {"Retry-After": "3600"}))
    assert "rate limit of the server is reached: quota" in failure(server, BackendError)
    assert len(server.asked) == 1


def test_a_server_that_stays_busy(quick_retries: None) -> None:
    server = Scripted(error(503, "engine is dead"))
    assert "engine is dead (status 503)" in failure(server, BackendError)
    assert 1 < len(server.asked) <= 5


def test_a_key_that_is_refused_is_in_no_message() -> None:
    says = failure(Scripted((401, {"error": "Unauthorized"})), BackendError, key="sk-secret")
    assert "Unauthorized" in says
    assert "SWAY_API_KEY" in says
    assert "sk-secret" not in says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"<html>hello</html>", "cannot be read"),
        (b'{"choices": [{"index": 0', "cannot be read"),
        ({"choices": []}, "returned 0 completions for 1 prompts"),
        ({**GOOD, "choices": [{"index": 3}]}, "returned 1 completions for 1 prompts"),
        (
            {**GOOD, "choices": [{"index": 0, "prompt_logprobs": [None, {"6": {"logprob": -1}}]}]},
            "returned 2 log-probabilities",
        ),
        (
            {**GOOD, "choices": [{"index": 0, "prompt_logprobs": [None, {"6": {"logprob": -1}}, {}]}]},
            "no log-probability for the token id 7",
        ),
        ({**GOOD, "usage": {"prompt_tokens": 9}}, "processed 9 tokens, but the request contained 3"),
    ],
)
def test_an_answer_to_something_else(answer: Any, says: str) -> None:
    assert says in failure(Scripted((200, answer)), RequestError)


@pytest.mark.slow
def test_an_answer_that_is_cut(quick_retries: None) -> None:
    cut = (200, b'{"choices"', {"Content-Length": "1000", "Connection": "close"})
    with running(Scripted(cut, (200, GOOD))) as server:
        assert ask(server) == [[-2.0]]
    assert "does not answer" in failure(Scripted(cut), BackendError)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_session, "_MOST_BYTES", 1000)
    assert "larger than 1000 bytes" in failure(Scripted((200, b"x" * 5000)), RequestError)


def test_a_slow_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_session, "_TIMEOUT", httpx.Timeout(0.2))

    def slow() -> Any:
        time.sleep(1)
        return 200, GOOD

    server = Scripted(slow)
    assert "took more than 0 s to answer" in failure(server, BackendError)
    assert len(server.asked) == 1


def test_a_redirect_is_not_followed() -> None:
    """Another server would be given the texts, and on the same host the key."""
    with running(Scripted((200, GOOD))) as elsewhere:
        sent_on = (307, {}, {"Location": f"{elsewhere.url}/v1/completions"})
        assert "307" in failure(Scripted(sent_on), RequestError, key="sk-secret")
    assert elsewhere.asked == []


def test_a_key_that_a_server_repeats_is_not_shown() -> None:
    says = failure(
        Scripted((401, {"error": "Incorrect API key provided: sk-secret"})), BackendError, key="sk-secret"
    )
    assert "Incorrect API key provided: ***" in says


def test_a_closed_session_is_an_error() -> None:
    with running(Scripted((200, GOOD))) as server:
        session = HttpSession(Endpoint(server.url), 1)
        session.close()
        with pytest.raises(BackendError, match="is closed"):
            session.get("/")


def test_a_deeply_nested_refusal() -> None:
    assert failure(Scripted((400, b"[" * 100_000)), RequestError)


def test_what_is_being_asked_ends_at_once() -> None:
    started = threading.Event()

    def never() -> Any:
        started.set()
        time.sleep(5)
        return 200, GOOD

    with running(Scripted(never)) as server:
        session = HttpSession(Endpoint(server.url), 4)
        client = CompletionsClient(session)
        raised: list[BaseException] = []

        def in_a_thread() -> None:
            try:
                client.target_logprobs("m", [TEXT])
            except BackendError as error:
                raised.append(error)

        thread = threading.Thread(target=in_a_thread)
        thread.start()
        assert started.wait(5)
        began = time.perf_counter()
        session.interrupt()
        thread.join(5)
        assert time.perf_counter() - began < 2
        assert "interrupted" in str(raised[0])
        server.replies = [(200, GOOD)]
        assert client.target_logprobs("m", [TEXT]) == [[-2.0]]  # and it goes on
        session.close()
        session.close()


def test_one_text_of_a_list_that_is_refused(open_backend: Open, server: CompletionsServer) -> None:
    backend = open_backend()
    subject = backend.attach(HEALTHY)

    def refuse(self: CompletionsServer, path: str, body: dict[str, Any]) -> Any:
        broken = path == "/v1/completions" and 11 in map(len, body["prompt"])
        return error(400, "Out of range float values are not JSON compliant") if broken else None

    server.override = refuse
    found = backend.target_logprobs(
        [ForcedCompletion((5,), (6,)), ForcedCompletion((5,), (6,) * 10), ForcedCompletion((5,), (7,))],
        subject.tuned,
    )
    assert [isinstance(one, RequestError) for one in found] == [False, True, False]


@pytest.mark.slow
def test_a_server_that_ends_keeps_what_it_answered(
    open_backend: Open, server: CompletionsServer, quick_retries: None
) -> None:
    backend = open_backend()
    subject = backend.attach(HEALTHY)
    engine = Engine(backend)
    asked = [Completion("The", text, subject.tuned) for text in (" works", " lantern", " harbour")]
    assert len(engine.answer(asked[:1])) == 1
    server.override = lambda *_: error(503, "EngineDeadError")
    with pytest.raises(BackendError, match="EngineDeadError"):
        engine.answer(asked)
    assert engine.answer(asked[:1]).keys() == {asked[0]}  # from memory
    server.override = lambda *_: None
    assert len(engine.answer(asked)) == 3


def test_where_the_key_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "o")
    assert endpoint_of("http://a/v1/", None, "x") == Endpoint("http://a", "o")
    monkeypatch.setenv("SWAY_API_KEY", "s")
    assert endpoint_of("http://a", None, "x").api_key == "s"
    assert endpoint_of("http://a", "own", "x").api_key == "own"
    assert "own" not in repr(endpoint_of("http://a", "own", "x"))
    assert endpoint_of("http://a", "own\n", "x").api_key == "own"  # from a file of secrets
    for key in ("a\nb", "schlüssel"):
        with pytest.raises(BackendError) as refused:
            endpoint_of("http://a", key, "x")
        assert key not in str(refused.value)

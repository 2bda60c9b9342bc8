"""The daemon's HTTP side in this process, with a real uvicorn on a thread; no model is loaded."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import httpx
import pytest
import uvicorn

from pytest_sway.serve import app as app_module
from pytest_sway.serve import daemon as daemon_module
from pytest_sway.serve import header_timeout
from pytest_sway.serve.daemon import server_config
from pytest_sway.serve.request_specs import Allowed, RequestSpecError
from pytest_sway.serve.settings import ServeSettings, SettingsError
from tests.serve.conftest import free_port

Serving = Callable[[ServeSettings], int]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Starts uvicorn as the daemon does; the port."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def begin(settings: ServeSettings) -> int:
        settings = replace(settings, port=free_port())
        server = uvicorn.Server(server_config(settings, "error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread))
        return settings.port

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


def _read_to_end(connection: socket.socket) -> bytes:
    """What comes until the other side closes; TimeoutError where it does not."""
    connection.settimeout(5)
    return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: local"])
def test_a_connection_without_a_whole_header_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(header_timeout, "HEADER_S", 0.2)
    port = serving(ServeSettings())
    with closing(socket.create_connection(("127.0.0.1", port))) as one:
        one.sendall(sent)
        assert _read_to_end(one) == b""
    with closing(socket.create_connection(("127.0.0.1", port))) as one:  # a second request on a connection
        one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        assert _read_to_end(one).startswith(b"HTTP/1.1 200")


def test_a_refused_body_is_not_waited_for(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_timeout, "HEADER_S", 0.2)
    port = serving(ServeSettings(api_key="k"))
    with closing(socket.create_connection(("127.0.0.1", port))) as one:
        one.sendall(b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        time.sleep(0.1)
        one.sendall(b"x")
        assert _read_to_end(one).startswith(b"HTTP/1.1 401")


def test_connections_are_limited(serving: Serving) -> None:
    port = serving(ServeSettings())
    with ExitStack() as stack:
        for _ in range(256):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 503


def test_without_the_hub_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module._Server, "run", lambda self: None)
    for allowed, expected in ((Allowed((), hub=True), None), (Allowed(()), "1")):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        daemon_module.serve(ServeSettings(allowed=allowed))
        assert os.environ.get("HF_HUB_OFFLINE") == expected
    with pytest.raises(SettingsError):
        daemon_module.serve(ServeSettings("0.0.0.0"))


@pytest.mark.parametrize(
    ("host", "port", "url", "header"),
    [
        ("2001:db8::5", 8787, "http://[2001:db8::5]:8787", "[2001:db8::5]:8787"),
        ("::1", 80, "http://[::1]:80", "[::1]"),
        ("localhost", 80, "http://localhost:80", "localhost"),
    ],
)
def test_addresses(host: str, port: int, url: str, header: str) -> None:
    settings = ServeSettings(host, port, api_key="k")
    assert settings.url == url
    transport = httpx.ASGITransport(app_module.make_app(settings))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Host": header, "Origin": f"http://{header}"}
            return (await client.get("/health", headers=headers)).status_code

    assert asyncio.run(ask()) == 200


def test_a_request_that_is_answered_late_is_not(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_timeout, "HEADER_S", 0.1)

    def slow(*_: object) -> str:
        time.sleep(0.5)
        raise RequestSpecError("late")

    monkeypatch.setattr(app_module, "spec_text", slow)
    with httpx.Client(base_url=f"http://127.0.0.1:{serving(ServeSettings())}") as client:
        for _ in range(2):
            assert client.post("/run", json={"spec": {}}).json() == {"error": "late"}


def test_a_header_of_a_proxy_gives_nobody_another_address(serving: Serving) -> None:
    port = serving(ServeSettings(most_requests=2))
    codes = [
        httpx.get(f"http://127.0.0.1:{port}/stats", headers={"X-Forwarded-For": f"10.0.0.{number}"})
        for number in range(4)
    ]
    assert [one.status_code for one in codes] == [200, 200, 429, 429]


def test_no_other_protocol_is_spoken(serving: Serving) -> None:
    port = serving(ServeSettings())
    headers = {"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x" * 24}
    answer = httpx.get(f"http://127.0.0.1:{port}/stats", headers=headers | {"Sec-WebSocket-Version": "13"})
    assert answer.status_code == 200


def test_other_requests_are_answered_while_a_spec_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    is_checking, goes_on = threading.Event(), threading.Event()

    def slow(*_: object) -> str:
        is_checking.set()
        assert goes_on.wait(20)
        raise RequestSpecError("checked")

    monkeypatch.setattr(app_module, "spec_text", slow)
    transport = httpx.ASGITransport(app_module.make_app(ServeSettings()))

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            checked = asyncio.create_task(client.post("/run", json={"spec": {}}))
            await asyncio.to_thread(is_checking.wait, 20)
            health = await client.get("/health")
            assert not checked.done()
            goes_on.set()
            return [health.status_code, (await checked).status_code]

    assert asyncio.run(ask()) == [200, 400]

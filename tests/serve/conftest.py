"""A daemon in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_sway.client import ServeClient, ServeClientError
from tests.support.paths import QUICKSTART

Answer = tuple[int, bytes]
Answering = Callable[..., tuple[ServeClient, list[str]]]
KEY = "a-key-for-tests"
_START_S = 60


class Daemon(NamedTuple):
    """A daemon that listens."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    client: ServeClient


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(folder: Path, *arguments: str, key: str = KEY, own_group: bool = False) -> Daemon:
    """Start a daemon that serves what is below the quickstart and `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "pytest_sway", "serve", "--port", str(port), "--log-level", "warning"]
    command += ["--allow-path", str(QUICKSTART), "--allow-path", str(folder), *arguments]
    environment = {**os.environ, "SWAY_SERVE_KEY": key, "SWAY_NULL_CACHE_DIR": str(folder / "answers")}
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=own_group
    )
    client = ServeClient(f"http://127.0.0.1:{port}", api_key=key)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.health()
        except ServeClientError:
            time.sleep(0.1)
        else:
            return Daemon(f"http://127.0.0.1:{port}", port, process, client)
    process.kill()
    raise AssertionError("the daemon did not start")


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons, and stops them at the end."""
    running: list[Daemon] = []

    def begin(*arguments: str, key: str = KEY, own_group: bool = False) -> Daemon:
        running.append(start(tmp_path_factory.mktemp("served"), *arguments, key=key, own_group=own_group))
        return running[-1]

    yield begin
    for one in running:
        one.client.close()
        one.process.terminate()
        one.process.wait(40)


@pytest.fixture(scope="module")
def daemon(daemons: Callable[..., Daemon]) -> Daemon:
    return daemons()


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts a server that gives these answers, one after another; the requests that it saw."""
    servers: list[ThreadingHTTPServer] = []

    def begin(*answers: Answer, length: int | None = None) -> tuple[ServeClient, list[str]]:
        left, seen = list(answers), list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                seen.append(f"{self.command} {self.path}")
                status, body = left.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_GET  # noqa: N815 - the names of http.server

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return ServeClient(f"http://127.0.0.1:{server.server_port}", timeout=5), seen

    yield begin
    for one in servers:
        one.shutdown()
        one.server_close()

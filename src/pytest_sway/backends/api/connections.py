"""The servers that one backend asks: one session for each endpoint and key."""

from __future__ import annotations

from contextlib import ExitStack

from pytest_sway.backends.api.client import CompletionsClient
from pytest_sway.backends.api.endpoints import Endpoint, endpoint_of
from pytest_sway.backends.api.http_session import HttpSession
from pytest_sway.backends.base import ServerUsage

_CONNECTIONS = 8
"""To a server, at most."""
_NEAR, _FAR = 2, 8
"""Requests that a server reads side by side, of all workers together, each of up to sixteen texts: on this
machine, and on another, whose answers take their way back. On two cores 220 texts under 22 adapters take vLLM
2.8 s with two, 3.7 s with four and 3.9 s with eight."""


class Connections:
    """Clients by endpoint.

    Attributes:
        concurrency: requests that a server reads side by side.
        all_workers: the same of all workers together.

    Args:
        workers: of pytest-xdist, that share the load.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.all_workers = self.concurrency = 1
        self._clients: dict[Endpoint, CompletionsClient] = {}

    def client(self, url: str | None, api_key: str | None) -> CompletionsClient:
        """The client of a server.

        Raises:
            BackendError: the spec names no address.
        """
        endpoint = endpoint_of(url, api_key, "models.ft.endpoint")
        if not self._clients:
            self.all_workers = _NEAR if endpoint.is_on_this_machine else _FAR
            self.concurrency = max(1, self.all_workers // self._workers)
        if endpoint not in self._clients:
            self._clients[endpoint] = CompletionsClient(HttpSession(endpoint, _CONNECTIONS))
        return self._clients[endpoint]

    def usage(self) -> ServerUsage:
        """What all of them were asked for."""
        counts = [client.usage for client in self._clients.values()]
        return (
            ServerUsage(*(sum(column) for column in zip(*counts, strict=True))) if counts else ServerUsage()
        )

    def interrupt(self) -> None:
        """End the requests that run."""
        for client in self._clients.values():
            client.session.interrupt()

    def close(self) -> None:
        """Close all of them."""
        with ExitStack() as stack:
            for client in self._clients.values():
                stack.callback(client.session.close)

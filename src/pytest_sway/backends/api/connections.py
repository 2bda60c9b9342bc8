"""The servers that one backend asks: one session for each endpoint and key."""

from __future__ import annotations

from pytest_sway.backends.api.client import CompletionsClient
from pytest_sway.backends.api.endpoints import Endpoint, endpoint_of
from pytest_sway.backends.api.http_session import HttpSession
from pytest_sway.backends.base import ServerUsage


class Connections:
    """Clients by endpoint.

    Args:
        concurrency: requests that a server reads side by side.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._clients: dict[Endpoint, CompletionsClient] = {}

    def client(self, url: str | None, api_key: str | None) -> CompletionsClient:
        """The client of a server.

        Raises:
            BackendError: the spec names no address.
        """
        endpoint = endpoint_of(url, api_key, "models.ft.endpoint")
        if endpoint not in self._clients:
            self._clients[endpoint] = CompletionsClient(HttpSession(endpoint, self.concurrency))
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
        for client in self._clients.values():
            client.session.close()

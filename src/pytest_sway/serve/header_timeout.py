"""Connections that do not send a whole request header in time are closed."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 20.0
"""How long a header may take to arrive."""


class HeaderTimeout(H11Protocol):
    """uvicorn's HTTP/1.1, which by itself waits for a header without end.

    The rest of a refused request's body is waited for no longer either.
    """

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first header."""
        super().connection_made(transport)
        self._follow()

    def data_received(self, data: bytes) -> None:
        """A header may be whole now."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """The next header is waited for, or has come already."""
        super().on_response_complete()
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _follow(self) -> None:
        """Wait as long as no request is being answered, counted from the first moment."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(HEADER_S, self._close)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

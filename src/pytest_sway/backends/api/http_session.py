"""Connections to one server: bounded, repeated where that is worth it, and ended at once where asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple

import httpx
import tenacity

from pytest_sway.backends.api.endpoints import Endpoint
from pytest_sway.backends.base import BackendError
from pytest_sway.requests import RequestError
from pytest_sway.version import __version__

_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
"""Seconds: a server that compiles at its first request takes more than a minute."""
_ATTEMPTS = 5
_FIRST_WAIT_S = 0.25
_MOST_WAIT_S = 60.0
"""For all attempts together; a server that asks for a longer pause is not asked again."""
_MOST_BYTES = 1 << 28
"""Of one answer. A distribution over 4,096 tokens takes 154 kB."""
_RETRIED = frozenset({429, 500, 502, 503, 504})


class ServerAnswer(NamedTuple):
    """What a server answered, whatever its status."""

    status: int
    content: bytes


class ServerLostError(BackendError):
    """The server cannot be reached, or fails at whatever it is asked."""


class _BusyError(Exception):
    """The server may answer if it is asked once more."""

    def __init__(self, answer: ServerAnswer, pause: float | None) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer
        self.pause = pause


class HttpSession:
    """Asks one server, from any thread.

    The requests run in an event loop of their own, where they can be cancelled; a thread that waits on a
    socket cannot.

    Args:
        endpoint: where it listens, and the key.
        connections: most requests at a time.
    """

    def __init__(self, endpoint: Endpoint, connections: int) -> None:
        self.endpoint = endpoint
        headers = {"User-Agent": f"pytest-sway/{__version__}"}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        try:
            self._client = httpx.AsyncClient(
                base_url=endpoint.url,
                headers=headers,
                timeout=_TIMEOUT,
                limits=limits,
                trust_env=not endpoint.is_on_this_machine,  # proxies lead elsewhere
            )
        except (httpx.InvalidURL, ImportError, ValueError) as error:  # a host, a proxy's scheme
            raise BackendError(
                f"{endpoint.url} cannot be reached: {endpoint.without_key(str(error))}"
            ) from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sway-http", daemon=True)
        self._thread.start()
        self._asked: set[Future[Any]] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where the server listens."""
        return self.endpoint.url

    def get(self, path: str) -> ServerAnswer:
        """The answer to a GET; errors are those of :meth:`post`."""
        return self._wait_for(self._repeated("GET", path, None, repeats=True))

    def post(self, path: str, body: dict[str, Any], *, repeats: bool = True) -> ServerAnswer:
        """The answer to a POST.

        Args:
            path: below the endpoint.
            body: is sent as JSON.
            repeats: whether it is asked again where the server is busy or the connection breaks.

        Raises:
            RequestError: the answer is too large.
            BackendError: the server cannot be reached or takes too long, or the session was interrupted.
        """
        return self._wait_for(self._repeated("POST", path, body, repeats=repeats))

    def interrupt(self) -> None:
        """End every request that runs; who waits for one gets a BackendError."""
        with self._lock:
            asked = list(self._asked)
        for future in asked:
            future.cancel()

    def close(self) -> None:
        """End every request, and the connections."""
        if not self._thread.is_alive():
            return
        self.interrupt()
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, asked: Coroutine[Any, Any, ServerAnswer]) -> ServerAnswer:
        if self._loop.is_closed():
            asked.close()
            raise BackendError(f"the connection to {self.url} is closed")
        future = asyncio.run_coroutine_threadsafe(asked, self._loop)
        with self._lock:
            self._asked.add(future)
        try:
            return future.result()
        except CancelledError:
            raise BackendError(f"the request to {self.url} was interrupted") from None
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
                raise ServerLostError(self._unreachable(error)) from None
            raise ServerLostError(
                f"the server at {self.url} took more than {_TIMEOUT.read:.0f} s to answer"
            ) from None
        except httpx.HTTPError as error:
            raise ServerLostError(self._unreachable(error)) from None
        finally:
            future.cancel()  # Ctrl-C ends the wait and not the request
            with self._lock:
                self._asked.discard(future)

    def _unreachable(self, error: httpx.HTTPError) -> str:
        cause = self.endpoint.without_key(str(error)) or type(error).__name__
        return f"the server at {self.url} does not answer: {cause}"

    async def _repeated(
        self, method: str, path: str, body: dict[str, Any] | None, *, repeats: bool
    ) -> ServerAnswer:
        """The first answer that is worth reading, or the last one."""
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_worth_another_attempt),
            wait=_pause,
            stop=tenacity.stop_after_attempt(_ATTEMPTS if repeats else 1)
            | tenacity.stop_before_delay(_MOST_WAIT_S),
            reraise=True,
        )
        try:
            return await attempts(self._once, method, path, body)
        except _BusyError as error:
            return error.answer

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> ServerAnswer:
        async with self._client.stream(method, path, json=body) as response:
            parts, size = [], 0
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise RequestError(
                        f"the response from {self.url}{path} is larger than {_MOST_BYTES} bytes"
                    )
        answer = ServerAnswer(response.status_code, b"".join(parts))
        if answer.status != httpx.codes.OK:  # its text is shown
            shown = self.endpoint.without_key(answer.content.decode(errors="replace"))
            answer = answer._replace(content=shown.encode())
        if answer.status in _RETRIED:
            raise _BusyError(answer, _retry_after(response.headers.get("Retry-After", "")))
        return answer


def _is_worth_another_attempt(error: BaseException) -> bool:
    if isinstance(error, _BusyError):
        return error.pause is None or error.pause <= _MOST_WAIT_S
    hopeless = (httpx.ReadTimeout, httpx.WriteTimeout, httpx.UnsupportedProtocol)
    return isinstance(error, httpx.TransportError) and not isinstance(error, hopeless)


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: what the server says, else more each time and never the same."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _BusyError) and error.pause is not None:
        return error.pause
    longer = tenacity.wait_exponential(_FIRST_WAIT_S, max=8.0) + tenacity.wait_random(0, _FIRST_WAIT_S)
    return float(longer(state))


def _retry_after(text: str) -> float | None:
    """The header's seconds; a date, which servers of models do not send, counts as none."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return None

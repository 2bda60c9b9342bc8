"""Who may ask: checks of every HTTP request before the application sees it."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections import deque

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_sway.serve.settings import ServeSettings

_OPEN = frozenset({"/health"})
_UNCOUNTED = frozenset({"/health", "/metrics"})
_OTHER_SITES = frozenset({"cross-site", "same-site"})
_PORTS = {"http": "80", "https": "443"}
"""Of an origin that names none."""
_MINUTE = 60.0
_SLOWEST_S = 20.0
"""How long a request may take to arrive."""
_MOST_ADDRESSES = 10_000


class HttpGuard:
    """Refuses a request that is not the daemon's to answer.

    - ``Host`` must be a name of the daemon: a page of another domain that resolves to this address (DNS
      rebinding) has another one.
    - ``Origin`` and ``Sec-Fetch-Site``, which browsers send, must be the daemon's own: a page elsewhere
      cannot drive it.
    - ``Authorization: Bearer KEY`` where a key is set, compared in constant time; a browser asks for it as a
      password (``Basic``, with any user).
    - Bodies up to a size, by what is read and not by what a header says.
    - So many requests a minute.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings
        self._recent: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        try:
            await self._app(scope, _limited(receive, self._settings.most_body), send)
        except BodyError as error:
            await _refused(error.status_code, error.detail)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        if not self._is_own_host(headers.get("host", "")):
            return _refused(421, "the Host header does not name an allowed host (--allow-host)")
        origin = headers.get("origin")
        if origin is not None and not self._is_own_origin(origin):
            return _refused(403, "cross-origin requests are not allowed")
        if headers.get("sec-fetch-site") in _OTHER_SITES:
            return _refused(403, "cross-origin requests are not allowed")
        if scope["path"] not in _UNCOUNTED and self._is_too_many(scope):
            return _refused(429, f"too many requests: the limit is {self._settings.most_requests} per minute")
        if scope["path"] not in _OPEN and not self._has_key(headers):
            return _without_key()
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.most_body:
            return _refused(413, f"the request is too large: the limit is {self._settings.most_body:,} bytes")
        return None

    def _is_own_host(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
        return name.lower() in self._settings.known_hosts and (not port or port.isdecimal())

    def _is_own_origin(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        return scheme in _PORTS and self._is_own_host(host) and self._has_own_port(scheme, host)

    def _has_own_port(self, scheme: str, host: str) -> bool:
        port = host.rpartition(":")[2] if not host.endswith("]") and ":" in host else _PORTS[scheme]
        return port == str(self._settings.port)

    def _has_key(self, headers: Headers) -> bool:
        if not self._settings.api_key:
            return True
        given = _given_key(headers.get("authorization", ""))
        return hmac.compare_digest(given, self._settings.api_key.encode())

    def _is_too_many(self, scope: Scope) -> bool:
        address = scope["client"][0] if scope.get("client") else ""
        now = time.monotonic()
        if len(self._recent) > _MOST_ADDRESSES:
            self._recent.clear()
        times = self._recent.setdefault(address, deque())
        while times and now - times[0] > _MINUTE:
            times.popleft()
        if len(times) >= self._settings.most_requests:
            return True
        times.append(now)
        return False


def _given_key(authorization: str) -> bytes:
    """The key of a header; empty, which is no key, where there is none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.encode("latin-1")  # as it came
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2]
    except ValueError:
        return b""


class BodyError(HTTPException):
    """A body that is too large, or that comes too slowly (FastAPI lets this exception through)."""


def _limited(receive: Receive, most: int) -> Receive:
    """The messages of a request, as long as their bytes are within the limit and come in time."""
    read, is_whole = 0, False
    deadline = time.monotonic() + _SLOWEST_S

    async def limited() -> Message:
        nonlocal read, is_whole
        if is_whole:
            return await receive()  # whether the client has gone
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise BodyError(408, f"the request took longer than {_SLOWEST_S:g} s to arrive") from None
        read += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if read > most:
            raise BodyError(413, f"the request is too large: the limit is {most:,} bytes")
        return message

    return limited


def _without_key() -> JSONResponse:
    refusal = _refused(
        401, "the API key is missing or wrong; send it in the header Authorization: Bearer KEY"
    )
    for scheme in ("Bearer", 'Basic realm="sway serve", charset="UTF-8"'):  # Chromium reads one in a line
        refusal.headers.append("WWW-Authenticate", scheme)
    return refusal


def _refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)

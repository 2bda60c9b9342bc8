"""A client of ``sway serve``."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pytest_sway.user_error import UserError

KEY_VARIABLE = "SWAY_SERVE_KEY"
"""Environment variable of a daemon's key."""
_RETRIES, _PAUSE_S = 2, 0.2
_AGAIN = frozenset({429, 503})
_LONGEST = 200
"""Characters of an answer that a message repeats."""


class ServeClientError(UserError):
    """The daemon could not be reached, or it refused.

    Attributes:
        status: HTTP's; 0 where it was not reached.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ServeClient:
    """Asks a daemon; closes its connections at the end of a ``with``.

    Args:
        url: of the daemon.
        timeout: seconds that an answer may take.
        api_key: where the daemon wants one.

    Raises:
        ServeClientError: the address is none, or the key cannot be sent.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8787", timeout: float = 120.0, api_key: str | None = None
    ) -> None:
        key = (api_key or "").strip()
        if not key.isprintable():
            raise ServeClientError(
                "the API key contains a line break or another character that is not allowed in an HTTP header"
            )
        headers = {b"Authorization": f"Bearer {key}".encode()} if key else {}
        try:
            here = is_loopback(httpx.URL(url).host)  # no proxy reaches this machine, nor may it see the key
            self._http = httpx.Client(base_url=url, timeout=timeout, headers=headers, trust_env=not here)
        except httpx.InvalidURL as error:
            raise ServeClientError(
                f"{url} is not a valid URL ({error}); write a URL such as http://127.0.0.1:8787"
            ) from error

    def health(self) -> dict[str, Any]:
        """Whether the daemon lives, and which models it holds."""
        return self._asked("GET", "/health")

    def stats(self) -> dict[str, Any]:
        """How much it did so far."""
        return self._asked("GET", "/stats")

    def run(
        self, spec: Mapping[str, Any], spec_path: str | Path | None = None, seed: int | None = None
    ) -> dict[str, Any]:
        """Evaluate a suite: the JSON of ``sway run --json``.

        Args:
            spec: as in a sway.yaml.
            spec_path: its folder is where relative paths begin, on the daemon's machine.
            seed: of the defaults.

        Raises:
            ServeClientError: the daemon cannot be reached, or it refuses the spec.
        """
        return self._asked("POST", "/run", _body(spec, spec_path, seed))

    def score(
        self,
        spec: Mapping[str, Any],
        probe_names: Sequence[str] | None = None,
        spec_path: str | Path | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Evaluate some probes of a suite; arguments and errors as for :meth:`run`."""
        return self._asked(
            "POST", "/score", {**_body(spec, spec_path, seed), "probe_names": list(probe_names or ())}
        )

    def events(
        self,
        spec: Mapping[str, Any],
        spec_path: str | Path | None = None,
        seed: int | None = None,
        probe_names: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Evaluate a suite, or some of its probes, and tell what happens.

        The last event, ``complete``, has the result.

        Raises:
            ServeClientError: as for :meth:`run`.
        """
        body = {**_body(spec, spec_path, seed), "stream": True}
        body |= {"probe_names": list(probe_names)} if probe_names is not None else {}
        try:
            with self._http.stream("POST", "/run", json=body) as response:
                if response.is_error:
                    response.read()
                    raise _refused(response)
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        yield self._event(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            raise ServeClientError(f"{self._http.base_url}: {error}") from error

    def find(self, run_id: str) -> dict[str, Any]:
        """A run, and its result once it is done."""
        return self._asked("GET", f"/runs/{run_id}")

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancel a run."""
        return self._asked("DELETE", f"/runs/{run_id}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _event(self, text: str) -> dict[str, Any]:
        event = self._object(text)
        if "event" not in event:
            raise self._not_served(text)
        return event

    def _object(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._not_served(text)
        return found

    def _not_served(self, text: str) -> ServeClientError:
        return ServeClientError(
            f"{self._http.base_url} answered {text[:_LONGEST]!r}, which is not an answer of sway serve; "
            "check whether another server is listening there"
        )

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer; asked again only where nothing was begun."""
        for left in range(_RETRIES, -1, -1):
            try:
                response = self._http.request(method, path, json=body)
            except httpx.ConnectError as error:
                if left and method == "GET":
                    time.sleep(_PAUSE_S)
                    continue
                raise ServeClientError(
                    f"cannot connect to {self._http.base_url} ({error}); check that sway serve is running"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ServeClientError(f"{self._http.base_url}: {error}") from error
            if response.is_success:
                return self._object(response.text)
            if not (left and method == "GET" and response.status_code in _AGAIN):
                raise _refused(response)
            time.sleep(_PAUSE_S)
        raise AssertionError  # the last round returns or raises


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _body(spec: Mapping[str, Any], spec_path: str | Path | None, seed: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"spec": dict(spec)}
    if spec_path is not None:
        body["spec_path"] = str(Path(spec_path).absolute())
    return body | ({"seed": seed} if seed is not None else {})


def _refused(response: httpx.Response) -> ServeClientError:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        content = None
    fault = content.get("error") if isinstance(content, dict) else None
    message = fault or response.text[:_LONGEST]
    return ServeClientError(f"{response.status_code}: {message}", response.status_code)

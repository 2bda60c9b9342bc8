"""Where a server listens, and the key that it wants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pytest_sway.backends.base import BackendError
from pytest_sway.spec.model_kinds import server_address

_KEYS = ("SWAY_API_KEY", "OPENAI_API_KEY")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - what a user may write


@dataclass(frozen=True, repr=False)
class Endpoint:
    """A server's address without ``/v1``, and its key; the key is in no repr."""

    url: str
    api_key: str = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it listens on the loopback interface, so that it may see the same files."""
        return urlsplit(self.url).hostname in _THIS_MACHINE

    def without_key(self, text: str) -> str:
        """A text in which the key, where a server or a library repeats it, is not shown."""
        return text.replace(self.api_key, "***") if self.api_key else text


def endpoint_of(url: str | None, api_key: str | None, field: str) -> Endpoint:
    """The endpoint that a spec names.

    Args:
        url: with or without ``/v1`` at its end.
        api_key: the spec's; by default ``$SWAY_API_KEY``, then ``$OPENAI_API_KEY``.
        field: of the spec, for the message.

    Raises:
        BackendError: it is missing, or no address; or the key cannot be sent.
    """
    if not url:
        raise BackendError(
            f"{field} is missing; kind: api needs the URL of a server, e.g. http://127.0.0.1:8000"
        )
    if not _is_address(url):
        shown = "a URL with a user name or a query" if {"@", "?"} & set(url) else url
        raise BackendError(
            f"{field}: found {shown}; write the URL of the server, e.g. http://127.0.0.1:8000. An API "
            "key belongs in api_key"
        )
    key = (api_key or next((value for name in _KEYS if (value := os.environ.get(name))), "")).strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise BackendError(
            f"the API key for {field} contains invalid characters; check api_key or the environment variable "
            "that it comes from"
        )
    return Endpoint(server_address(url), key)


def _is_address(url: str) -> bool:
    try:
        parts: SplitResult = urlsplit(url)
        has_host = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half a bracket
        return False
    return has_host and url.isprintable() and not {"@", "?", "#", " "} & set(url)

"""Where a server listens, and the key that it wants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_sway.backends.base import BackendError

_KEYS = ("SWAY_API_KEY", "OPENAI_API_KEY")
_VERSION = "/v1"


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
        return urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")


def endpoint_of(url: str | None, api_key: str | None, field: str) -> Endpoint:
    """The endpoint that a spec names.

    Args:
        url: with or without ``/v1`` at its end.
        api_key: the spec's; by default ``$SWAY_API_KEY``, then ``$OPENAI_API_KEY``.
        field: of the spec, for the message.

    Raises:
        BackendError: it is missing, or no address.
    """
    if not url:
        raise BackendError(
            f"{field} is missing: kind: api needs the address of a server, e.g. http://127.0.0.1:8000"
        )
    parts = urlsplit(url)
    try:
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address or parts.query or parts.fragment or parts.username:
        shown = url if parts.username is None else "an address with a user name"
        raise BackendError(
            f"{field}: found {shown}; write the address of the server, e.g. http://127.0.0.1:8000, and a key "
            "as api_key"
        )
    key = api_key or next((value for name in _KEYS if (value := os.environ.get(name))), "")
    return Endpoint(url.rstrip("/").removesuffix(_VERSION).rstrip("/"), key)

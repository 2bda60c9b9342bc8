"""How the daemon is run, and how its address is checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_sway.client import KEY_VARIABLE, is_loopback
from pytest_sway.serve.request_specs import Allowed
from pytest_sway.serve.supervisor import WorkerSettings
from pytest_sway.user_error import UserError

DEFAULT_PORT = 8787


class SettingsError(UserError):
    """The daemon would not be safe to start; the message says what to give."""


@dataclass(frozen=True)
class ServeSettings:
    """How the daemon is run.

    Attributes:
        host, port: where it listens.
        api_key: that every request but ``/health`` must carry; empty for none.
        allowed: what a request may name.
        worker: how runs are measured.
        most_body: bytes of a request.
        most_requests: a minute from one address, ``/health`` and ``/metrics`` left out.
        hosts: further names by which the daemon is called.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    api_key: str = field(default="", repr=False)
    allowed: Allowed = field(default_factory=lambda: Allowed(()))
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    most_body: int = 4 << 20
    most_requests: int = 600
    hosts: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise SettingsError for an address that others reach, without a key."""
        if not is_loopback(self.host) and not self.api_key:
            raise SettingsError(
                f"--host {self.host} is reachable from other machines, so it needs an API key; set the "
                f"environment variable {KEY_VARIABLE} or pass --api-key"
            )

    @property
    def known_hosts(self) -> frozenset[str]:
        """Names in a ``Host`` header that are this daemon's: a page of another name is not."""
        names = {"localhost", "127.0.0.1", "[::1]", *map(host_in_url, (self.host, *self.hosts))}
        return frozenset(name.lower() for name in names)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{host_in_url(self.host)}:{self.port}"


def host_in_url(host: str) -> str:
    """A host as it is written in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

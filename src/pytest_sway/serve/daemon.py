"""Runs the daemon until a signal stops it."""

from __future__ import annotations

import os
import threading
from types import FrameType

import uvicorn

from pytest_sway.serve.app import make_app
from pytest_sway.serve.header_timeout import HeaderTimeout
from pytest_sway.serve.settings import ServeSettings

_PATIENCE_S = 20.0
"""How long the run that is measured may go on once the daemon stops."""
_GRACE_S = 40
"""How long open requests may: until that run is over, or cancelled."""
_IDLE_S = 10


class _Server(uvicorn.Server):
    """Accepts no further run once a signal has arrived."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let the supervisor stop while open requests are answered."""
        supervisor = self.config.app.state.supervisor  # type: ignore[union-attr]
        threading.Thread(target=supervisor.stop, args=(_PATIENCE_S,), daemon=True).start()
        super().handle_exit(sig, frame)


def serve(settings: ServeSettings, log_level: str = "info") -> None:
    """Listen until SIGINT or SIGTERM; what is measured is finished or cancelled, then the models are closed.

    Raises:
        SettingsError: others could reach it without a key.
    """
    settings.check()
    if not settings.allowed.hub:
        os.environ["HF_HUB_OFFLINE"] = "1"  # the worker inherits it: nothing is fetched
    _Server(server_config(settings, log_level)).run()


def server_config(settings: ServeSettings, log_level: str = "info") -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        make_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_GRACE_S,
        http=HeaderTimeout,
        ws="none",
        limit_concurrency=256,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For would give whoever asks another address for each request
    )

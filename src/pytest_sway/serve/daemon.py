"""Runs the daemon until it is told to stop."""

from __future__ import annotations

import uvicorn

from pytest_sway.serve.app import make_app
from pytest_sway.serve.settings import ServeSettings

_GRACE_S = 25
"""How long open requests may take once the daemon stops."""
_HEADER_TIMEOUT_S = 10


def serve(settings: ServeSettings, log_level: str = "info") -> None:
    """Listen until SIGINT or SIGTERM; what is measured is finished or cancelled, then the models are closed.

    Raises:
        SettingsError: others could reach it without a key.
    """
    settings.check()
    config = uvicorn.Config(
        make_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=log_level,
        timeout_keep_alive=_HEADER_TIMEOUT_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=256,
        server_header=False,
    )
    uvicorn.Server(config).run()

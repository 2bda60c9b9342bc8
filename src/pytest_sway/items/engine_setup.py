"""The engine, set up as the command line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.backends.base import Backend
from pytest_sway.backends.duck_typed import backend_of
from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.engine.disk_cache import DiskCache, folder
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.trace import Trace
from pytest_sway.items.progress import progress_line


def make_engine(backend: Backend, config: pytest.Config) -> Engine:
    """An engine over ``backend``, with the answers of earlier sessions.

    Raises:
        BackendError: it is no backend.
    """
    served = backend_of(backend)
    where = folder() if served.identity else None
    trace = config.getoption("sway_trace")
    return Engine(
        served,
        store=DiskCache(where) if where is not None else None,
        trace=Trace(Path(trace)) if trace else None,
        memory=config.getoption("sway_memory"),
        batch_invariant=config.getoption("sway_exact"),
        embedder=SentenceEmbedder(),
        progress=progress_line(config),
    )

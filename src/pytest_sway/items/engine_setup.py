"""The engine, set up as the command line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.backends.base import Backend
from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.engine.answer_store import Store, folder
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.trace import Trace
from pytest_sway.items.progress import progress_line


def make_engine(backend: Backend, config: pytest.Config) -> Engine:
    """An engine over ``backend``, with the answers of earlier sessions."""
    where = folder() if getattr(backend, "identity", "") else None
    trace = config.getoption("sway_trace")
    engine = Engine(
        backend,  # type: ignore[arg-type]
        store=Store(where) if where is not None else None,
        trace=Trace(Path(trace)) if trace else None,
        memory=config.getoption("sway_memory"),
        alone=config.getoption("sway_exact"),
        embedder=SentenceEmbedder(),
    )
    engine.listen(progress_line(config))
    return engine

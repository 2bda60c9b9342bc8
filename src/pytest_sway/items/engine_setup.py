"""The engine, set up as the command line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.backends.base import Backend, BackendError
from pytest_sway.backends.duck_typed import backend_of
from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.engine.disk_cache import DiskCache, folder
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.portable_answers import FILE as PORTABLE
from pytest_sway.engine.portable_answers import PortableAnswers, PortableAnswersError
from pytest_sway.engine.trace import Trace
from pytest_sway.items.progress import progress_line
from pytest_sway.items.stash_keys import ANSWER_RECORD, SHOW_PROGRESS


def make_engine(backend: Backend, config: pytest.Config) -> Engine:
    """An engine over ``backend``, with the answers of earlier sessions.

    Raises:
        BackendError: it is no backend.
    """
    served = backend_of(backend)
    where = folder() if served.identity else None
    trace = config.getoption("sway_trace")
    packed = where / PORTABLE if where is not None else None
    try:
        portable = PortableAnswers.read(packed) if packed is not None and packed.is_file() else None
    except PortableAnswersError as error:
        raise BackendError(str(error)) from None
    return Engine(
        served,
        store=DiskCache(where) if where is not None else None,
        trace=Trace(Path(trace)) if trace else None,
        memory=config.getoption("sway_memory"),
        batch_invariant=config.getoption("sway_exact"),
        embedder=SentenceEmbedder(),
        portable=portable,
        record=config.stash.get(ANSWER_RECORD, None),
        progress=config.stash.get(SHOW_PROGRESS, None) or progress_line(config),
    )

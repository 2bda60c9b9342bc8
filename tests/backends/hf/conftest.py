"""The quickstart's base, loaded once per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.hf_models import KEY


@pytest.fixture(scope="module")
def backend() -> Iterator[HFBackend]:
    made = load_backend(KEY)
    yield made
    made.close()

"""The quickstart's base, loaded once per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backends.asked import KEY
from pytest_sway.backends.hf.load import load
from pytest_sway.backends.hf.model import HFBackend


@pytest.fixture(scope="module")
def backend() -> Iterator[HFBackend]:
    made = load(KEY)
    yield made
    made.close()

"""Hooks that pytest-sway calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sway.backends.protocols import Backend, ModelKey


@pytest.hookspec(firstresult=True)
def pytest_sway_backend(config: pytest.Config, model: ModelKey) -> Backend | None:
    """Called when a model is needed, once per model; return a backend, or None to leave it to others.

    Without an answer the spec's own kind is built. Raise
    :class:`pytest_sway.backends.protocols.BackendError` to fail the items with one line.
    """

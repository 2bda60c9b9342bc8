"""Loads the backend of ``kind: custom``: a class of the user's own, named by ``entry_point``.

This module imports and runs code that a spec names. Only the fixture ``sway_backend`` calls it, for a spec
file that pytest collected, whose folder holds a conftest that pytest would run as well. A spec that came
over a network must never reach it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pytest_sway.backends.base import (
    AnsweringBackend,
    Backend,
    BackendError,
    ModelKey,
    ServerBackend,
    WeightsBackend,
)
from pytest_sway.backends.custom.differential_backend import DifferentialBackend
from pytest_sway.backends.custom.differential_model import DIFFERENTIAL_METHODS
from pytest_sway.backends.custom.entry_point import call_entry_point, import_entry_point
from pytest_sway.backends.duck_typed import backend_of
from pytest_sway.text.message_parts import describe

_ARGUMENTS = "the arguments (model), or (base_spec, adapter_path) like dlm-sway's custom backends"


def load_backend(key: ModelKey) -> AnsweringBackend | WeightsBackend | ServerBackend:
    """The backend that a spec names by ``entry_point``.

    Two protocols are served. A backend of pytest-sway is built here, as ``Class(model=key)``. A backend of
    dlm-sway is built for each adapter, as ``Class(base_spec=..., adapter_path=...)``, and its views
    are asked by :class:`DifferentialBackend`.

    Args:
        key: names the class, and is what a backend of pytest-sway is built with.

    Raises:
        BackendError: there is no such class, it cannot be built, or it lacks methods; in one line.
    """
    factory = import_entry_point(key.entry_point)
    where = f"models.ft.entry_point: {key.entry_point}"
    if not callable(factory):
        raise BackendError(
            f"{where} is {describe(factory)}; use a class, or a function that returns a backend"
        )
    is_differential = _is_differential(factory)
    arguments = ("base_spec", "adapter_path") if is_differential else ("model",)
    if not _accepts(factory, *arguments):
        call = ", ".join(f"{name}=..." for name in arguments)
        raise BackendError(f"{where} cannot be called as Class({call}); it must accept {_ARGUMENTS}")
    if is_differential:
        return DifferentialBackend(key, factory)
    backend = call_entry_point(factory, str(key.entry_point), model=key)
    try:
        return backend_of(backend)
    except BackendError as error:
        raise BackendError(f"{where} returned {error}") from None


def _is_differential(factory: Callable[..., Any]) -> bool:
    """Whether a class follows dlm-sway's protocol: by its methods, else by its arguments."""
    if isinstance(factory, type) and issubclass(factory, Backend):
        return False
    if any(hasattr(factory, name) for name in DIFFERENTIAL_METHODS):
        return True
    # a function, or a class that sets them in its constructor
    return _accepts(factory, "base_spec", "adapter_path") and not _accepts(factory, "model")


def _accepts(factory: Callable[..., Any], *names: str) -> bool:
    """Whether something can be called with these keyword arguments alone.

    It is looked at before the call: a TypeError of the constructor's own body says something else.
    """
    try:
        inspect.signature(factory).bind(**dict.fromkeys(names))
    except (TypeError, ValueError):  # other arguments; a class in C that does not name its arguments
        return False
    return True

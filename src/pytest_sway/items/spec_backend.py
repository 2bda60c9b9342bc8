"""The backend of a spec's own kind."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_sway.backends.base import BackendError, ModelKey

if TYPE_CHECKING:
    from pytest_sway.backends.base import Backend

_MODULES = {kind: f"pytest_sway.backends.{kind}.load_backend" for kind in ("hf", "gguf", "mlx", "api")}
"""Where each kind's ``load_backend`` is; imported when it is needed."""
PEFT_KINDS = frozenset({"hf", "gguf", "api"})
"""Kinds whose adapters are folders of PEFT, whose faults are reported before a model is loaded."""


def load_spec_backend(key: ModelKey, moment: datetime) -> Backend:
    """Load what a spec names.

    Args:
        key: names the model and its kind.
        moment: what chat templates print as the present.

    Raises:
        BackendError: the kind is none of a spec, or the model cannot be served truthfully.
    """
    if key.kind == "custom":  # a class of the user's: from a spec file that pytest collected, and no other
        from pytest_sway.backends.custom.load_backend import load_backend

        return load_backend(key)
    if key.kind not in _MODULES:
        served = ", ".join([*_MODULES, "custom"])
        raise BackendError(
            f"kind: {key.kind} is not supported by this version (supported: {served}). To add it, "
            "define the fixture sway_backend in a conftest or the hook pytest_sway_backend in a plugin"
        )
    backend: Backend = import_module(_MODULES[key.kind]).load_backend(key, moment)
    return backend

"""Objects with the parts of a backend whose class is derived from neither form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sway.backends.base import (
    AdapterKey,
    AnsweringBackend,
    BackendError,
    Determinism,
    ServerBackend,
    Subject,
    WeightsBackend,
    backend_fault,
)
from pytest_sway.requests import Request
from pytest_sway.text.message_parts import describe

_DEFAULTED = ("detach", "close", "rendered_prompt", "prompt_notes", "add_null")
"""Methods that the interface has a default for."""


def backend_of(found: object) -> AnsweringBackend | WeightsBackend | ServerBackend:
    """The backend that a hook or a fixture gave.

    Raises:
        BackendError: it is none; the message says what it is, and what it lacks.
    """
    if isinstance(found, AnsweringBackend | WeightsBackend | ServerBackend):
        return found
    if fault := backend_fault(found):
        raise BackendError(fault)
    if not hasattr(found, "answer"):
        raise BackendError(f"{describe(found)}, which is not a pytest_sway.backends.base.WeightsBackend")
    return DuckTypedBackend(found)


class DuckTypedBackend(AnsweringBackend):
    """Asks an object that answers whole requests; what the object lacks is the interface's default."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped
        for name in _DEFAULTED:
            if hasattr(wrapped, name):
                setattr(self, name, getattr(wrapped, name))

    def __getattr__(self, name: str) -> Any:  # what the interface does not name: a test may ask for it
        return getattr(self._wrapped, name)

    @property
    def capabilities(self) -> frozenset[str]:
        """Those of the wrapped object; no nulls where it does not speak of them in the interface's words."""
        known = frozenset(self._wrapped.capabilities)
        return known if hasattr(self._wrapped, "add_null") else known - {"nulls"}

    @property
    def context(self) -> int | None:  # type: ignore[override]  # may be known only once an adapter is attached
        """That of the wrapped object."""
        found: int | None = getattr(self._wrapped, "context", None)
        return found

    @property
    def identity(self) -> str:  # type: ignore[override]
        """That of the wrapped object."""
        return str(getattr(self._wrapped, "identity", ""))

    @property
    def null_families(self) -> frozenset[str] | None:  # type: ignore[override]
        """Those of the wrapped object."""
        families = getattr(self._wrapped, "null_families", None)
        return frozenset(families) if families is not None else None

    def attach(self, adapter: AdapterKey) -> Subject:
        """Delegates to the wrapped object."""
        subject: Subject = self._wrapped.attach(adapter)
        return subject

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Delegates to the wrapped object."""
        answers: Mapping[Request[Any], Any] = self._wrapped.answer(requests)
        return answers

    def determinism(self, *, batch_invariant: bool) -> Determinism | None:
        """What the object says, if it says anything."""
        if not hasattr(self._wrapped, "determinism"):
            return None
        known: Determinism = self._wrapped.determinism(batch_invariant=batch_invariant)
        return known

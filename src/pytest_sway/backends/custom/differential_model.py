"""One object of dlm-sway's protocol: built for one adapter, its views opened one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.custom.entry_point import call_entry_point
from pytest_sway.backends.custom.open_view import VIEW_CAPABILITIES, OpenView
from pytest_sway.requests import RequestError, View
from pytest_sway.text.message_parts import describe_error

DIFFERENTIAL_METHODS = ("as_base", "as_finetuned")
"""What an object of the protocol must have."""
_OPTIONAL_METHODS = {"scale": "as_scaled_adapter", "nulls": "as_null_adapter"}
"""The method behind each of the other capabilities."""


@dataclass(frozen=True)
class BaseSpec:
    """What a constructor is given as ``base_spec``: the fields of dlm-sway's ``ModelSpec``."""

    kind: str
    base: str
    adapter: Path | None
    dtype: str
    device: str
    trust_remote_code: bool
    entry_point: str | None
    endpoint: str | None


class DifferentialModel:
    """An object with ``as_base()`` and ``as_finetuned()``.

    Args:
        instance: the object.
        name: its entry point, for messages.

    Raises:
        BackendError: it or its views lack methods, or its preflight check failed.
    """

    def __init__(self, instance: Any, name: str) -> None:
        self._instance = instance
        self._name = name
        self._counts: dict[str, int] = {}
        self._fault = ""
        if missing := [method for method in DIFFERENTIAL_METHODS if not hasattr(instance, method)]:
            owner = type(instance).__name__
            raise BackendError(
                f"{name}: {owner} has no method {' and no method '.join(missing)}; as_base and as_finetuned "
                "are both required"
            )
        self._check_preflight()
        optional = {word for word, method in _OPTIONAL_METHODS.items() if hasattr(instance, method)}
        self.capabilities = frozenset(self._view_capabilities() | optional)

    @classmethod
    def build(cls, factory: Callable[..., Any], key: ModelKey, adapter: AdapterKey) -> DifferentialModel:
        """Call the user's class for an adapter.

        Raises:
            BackendError: it raised, or what it built cannot be served.
        """
        path = Path(adapter.path) if adapter.path is not None else None
        spec = BaseSpec(
            kind=key.kind,
            base=key.base,
            adapter=path,
            dtype=key.dtype,
            device=key.device,
            trust_remote_code=key.trust_remote_code,
            entry_point=key.entry_point,
            endpoint=key.endpoint,
        )
        instance = call_entry_point(factory, str(key.entry_point), base_spec=spec, adapter_path=path)
        try:
            return cls(instance, str(key.entry_point))
        except BaseException:
            _close(instance)
            raise

    @contextmanager
    def open_view(self, view: View) -> Iterator[OpenView]:
        """The view's weights, until the block ends; no other view may be open meanwhile.

        Raises:
            RequestError: it cannot be opened.
            BackendError: it, or one before it, could not be left: any further answer may be of its weights.
        """
        if self._fault:
            raise BackendError(self._fault)
        label = view.label()
        try:
            manager = self._manager(view)
            view_object = manager.__enter__()
        except Exception as error:
            raise RequestError(
                f"{self._name}: opening the view {label!r} raised {describe_error(error)}"
            ) from error
        try:
            yield OpenView(view_object, f"{self._name}: view {label!r}", self._counts)
        finally:
            try:
                manager.__exit__(None, None, None)
            except Exception as error:
                self._fault = f"{self._name}: leaving the view {label!r} raised {describe_error(error)}"
                raise BackendError(self._fault) from error

    def close(self) -> None:
        """Close the object, where it has a ``close()``.

        Raises:
            BackendError: it raised.
        """
        try:
            _close(self._instance)
        except Exception as error:
            raise BackendError(f"{self._name}: close() raised {describe_error(error)}") from error

    def _manager(self, view: View) -> AbstractContextManager[Any]:
        """The context manager of a view.

        A null's λ is passed as ``rank_scale``: dlm-sway multiplies both factors by its root, so B·A by it.
        """
        manager: AbstractContextManager[Any]
        if view.is_base or (view.null is not None and view.scale == 0):
            manager = self._instance.as_base()
        elif view.null is not None:
            seed = view.null.seed_base + view.null.draw
            manager = self._instance.as_null_adapter(
                seed, init_scale=view.null.init_scale, rank_scale=view.scale
            )
        elif view.scale == 1:
            manager = self._instance.as_finetuned()
        else:
            manager = self._instance.as_scaled_adapter(view.scale)
        return manager

    def _check_preflight(self) -> None:
        """Raise BackendError where the object says that it is not fit to be evaluated."""
        if not hasattr(self._instance, "preflight_finite_check"):
            return
        try:
            is_fit, reason = self._instance.preflight_finite_check()
        except Exception as error:
            raise BackendError(
                f"{self._name}: preflight_finite_check() raised {describe_error(error)}"
            ) from error
        if not is_fit:
            raise BackendError(f"{self._name}: its preflight_finite_check() failed: {reason}")

    def _view_capabilities(self) -> set[str]:
        """What both the base's view and the adapter's can answer.

        Raises:
            BackendError: a view cannot be opened, or the two have nothing that can be asked.
        """
        missing: set[str] = set()
        try:
            for view in (View("base"), View("base", "adapter")):
                with self.open_view(view) as open_view:
                    missing |= open_view.missing_methods
        except RequestError as error:
            raise BackendError(str(error)) from error
        capabilities = {word for word, needed in VIEW_CAPABILITIES.items() if not missing & {*needed}}
        if not capabilities:
            raise BackendError(
                f"{self._name}: nothing can be evaluated, because the objects in `with as_base()` and "
                f"`with as_finetuned()` lack the methods {', '.join(sorted(missing))}"
            )
        return capabilities


def _close(instance: Any) -> None:
    if hasattr(instance, "close"):
        instance.close()

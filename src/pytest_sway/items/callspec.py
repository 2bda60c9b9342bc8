"""The parameters of an item, kept where pytest alone reads them.

The chain of fixtures is parametrized indirectly, so pytest gives every item of a spec a ``callspec``. Other
plugins take an item with a ``callspec`` for one that is named ``function[id]`` in a ``.py`` file: VS Code's
discovery splits both and loses every test of the workspace where it cannot, Allure prints the values. So the
attribute is there only while pytest itself reads it: when items are ordered, and when fixtures are set up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

_CALLSPEC = pytest.StashKey[Any]()
"""On an item whose ``callspec`` is hidden: the ``callspec``."""


def hide_callspec(item: pytest.Item) -> None:
    """Take the ``callspec`` off an item, so that other plugins see a plain function."""
    if hasattr(item, "callspec"):
        item.stash[_CALLSPEC] = item.callspec
        del item.callspec


@contextmanager
def callspecs_visible(items: Iterable[pytest.Item]) -> Iterator[None]:
    """Show pytest the hidden ones of ``items`` for as long as this lasts."""
    hidden = [item for item in items if _CALLSPEC in item.stash]
    for item in hidden:
        item.callspec = item.stash[_CALLSPEC]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for item in hidden:
            del item.callspec  # type: ignore[attr-defined]


def params_of(item: pytest.Item) -> Mapping[str, Any]:
    """An item's parameters by fixture or argument; empty where it has none."""
    callspec = _callspec_of(item)
    return callspec.params if callspec is not None else {}


def params_id(item: pytest.Item) -> str:
    """The id that pytest made of an item's parameters, hidden ones left out."""
    callspec = _callspec_of(item)
    return callspec.id if callspec is not None else ""


def _callspec_of(item: pytest.Item) -> Any:
    return item.stash.get(_CALLSPEC, None) or getattr(item, "callspec", None)

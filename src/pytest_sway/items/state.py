"""What the worker side keeps on pytest's stashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sway.items.suite import Entry, Suite
    from pytest_sway.result import ProbeResult

MODEL_FIXTURES = ("sway_backend", "sway_adapter", "sway_null")
"""Named one by one on every item, so that each has its parameter even where a conftest overrides one
without asking for the others."""


@dataclass(frozen=True)
class ItemKey:
    """One probe of one suite: the parameter of the fixture ``sway_result``.

    Attributes:
        origin: node id of the spec file or of the marked function.
        suite, entry: the spec and the probe.
        threshold, weights: the suite's gate, where a mark sets its own.
    """

    origin: str
    suite: Suite
    entry: Entry
    threshold: float | None = None
    weights: tuple[tuple[str, float], ...] | None = None


@dataclass(frozen=True)
class BadMark:
    """A mark that cannot be followed: its item fails with this message, in one line."""

    message: str


SUITES = pytest.StashKey[dict[Path, "Suite"]]()
"""Specs by path, each read once per session."""
MEASURED = pytest.StashKey[list["ProbeResult"]]()
"""On an item: what its body measured through the fixture ``sway``."""
BENCH_INFO = pytest.StashKey[dict[str, object]]()
"""On an item: what its backend says of itself, for the reports."""


def item_key(item: pytest.Item) -> ItemKey | None:
    """The probe that an item measures; None for any other item."""
    callspec = getattr(item, "callspec", None)
    key = callspec.params.get("sway_result") if callspec is not None else None
    return key if isinstance(key, ItemKey) else None


def suite_id(item: pytest.Item, key: ItemKey) -> str:
    """Names a suite on one subject: its origin, in a fleet the adapter, and a user's own parameters."""
    params: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
    parts = [str(params["sway_adapter"])] if len(key.suite.adapters) > 1 else []
    parts += [f"{name}={value!r}" for name, value in params.items() if not name.startswith("sway_")]
    return f"{key.origin}[{', '.join(parts)}]" if parts else key.origin

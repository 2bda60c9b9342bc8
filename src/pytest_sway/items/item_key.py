"""Which probe of which suite an item measures, and what the suite is called. Loaded at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_sway.items.callspec import params_id, params_of

if TYPE_CHECKING:
    from pytest_sway.items.suite import Suite
    from pytest_sway.items.suite_entries import SuiteEntry

DEFAULT_SPEC = "sway.yaml"
"""In pytest's rootdir: the spec of code-first tests, where nothing else names one."""
MODEL_FIXTURES = ("sway_backend", "sway_adapter", "sway_null")
"""Named one by one on every item, so that each has its parameter even where a conftest overrides one
without asking for the others."""


@dataclass(frozen=True, repr=False)
class ItemKey:
    """One probe of one suite: the parameter of the fixture ``sway_result``.

    Attributes:
        origin: node id of the spec file or of the marked function.
        suite, entry: the spec and the probe.
        threshold, weights: the suite's gate, where a mark sets its own.
    """

    origin: str
    suite: Suite
    entry: SuiteEntry
    threshold: float | None = None
    weights: tuple[tuple[str, float], ...] | None = None

    def __repr__(self) -> str:
        return self.entry.id


@dataclass(frozen=True)
class InvalidMark:
    """A mark that cannot be followed: its item fails with this message, in one line."""

    message: str


def item_key(item: pytest.Item) -> ItemKey | None:
    """The probe that an item measures; None for any other item."""
    key = params_of(item).get("sway_result")
    return key if isinstance(key, ItemKey) else None


def suite_id(item: pytest.Item, key: ItemKey) -> str:
    """Names a suite on one subject: its origin, in a fleet the adapter, and a user's own parameters."""
    params, labels = params_of(item), key.suite.adapter_labels
    adapter = [labels[params["sway_adapter"]]] if len(labels) > 1 else []
    parts = list(adapter)
    if any(not name.startswith("sway_") for name in params):
        parts += _own_ids(params_id(item), "-".join([*adapter, key.entry.id]))
    return f"{key.origin}[{', '.join(parts)}]" if parts else key.origin


def _own_ids(text: str, ours: str) -> list[str]:
    """What a user's own parameters contributed to an item's id: the id without our part of it.

    The id, and not the values: their repr may hold an address, and then no two workers would agree.
    """
    ours = ours.encode("unicode_escape").decode("ascii")  # as pytest writes ids
    before, _, after = f"-{text}-".partition(f"-{ours}-")
    return [part for part in (before.strip("-"), after.strip("-")) if part]

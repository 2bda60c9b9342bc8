"""What an item's suite will hold, told before anything runs; builtins only, for the controller."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.items.state import item_key, suite_id


def planned(item: pytest.Item) -> dict[str, Any]:
    """The whole suite that an item belongs to: every entry of its spec, selected or not."""
    key = item_key(item)
    assert key is not None, "planned() is for sway items"
    suite, defaults = key.suite, key.suite.spec.envelope.defaults
    weights = {**(defaults.score_weights or {}), **dict(key.weights or ())}
    threshold = defaults.coverage_threshold if key.threshold is None else key.threshold
    adapter = item.callspec.params["sway_adapter"]  # type: ignore[attr-defined]
    return {
        "id": suite_id(item, key),
        "spec": str(suite.path),
        "base": suite.spec.envelope.models.base.base,
        "adapter": adapter.path or adapter.model or "",
        "threshold": threshold,
        "weights": weights,
        "seed": defaults.seed,
        "notes": [f"line {note.line}: {note.message}" for note in suite.notes],
        "probes": {entry.probe.name: entry.place for entry in suite.entries},
        "selected": [],
    }


def place_of(item: pytest.Item) -> tuple[str, str] | None:
    """An item's suite and probe, or None."""
    key = item_key(item)
    return None if key is None else (suite_id(item, key), key.entry.probe.name)

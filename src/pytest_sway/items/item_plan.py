"""What an item's suite will hold and where the item belongs, told before anything runs; builtins only."""

from __future__ import annotations

from dataclasses import astuple, is_dataclass
from hashlib import sha256
from typing import Any

import pytest

from pytest_sway.items.callspec import params_of
from pytest_sway.items.stash_keys import MODEL_FIXTURES, InvalidMark, item_key, suite_id
from pytest_sway.session.plan import ItemAssignment, LeftOutAdapter, Plan, leave_out

_CODE_FIRST = "sway_spec"
"""In place of a model, for tests whose model ``sway_spec`` names: a fixture, so known when they run."""
_LOADING = frozenset({*MODEL_FIXTURES, "sway", "sway_engine"})


def plan_suite(item: pytest.Item, plan: Plan) -> None:
    """Plan the whole suite that an item belongs to: every entry of its spec, selected or not."""
    key = item_key(item)
    if key is None or (name := suite_id(item, key)) in plan:
        return
    suite, defaults = key.suite, key.suite.spec.envelope.defaults
    weights = {**(defaults.score_weights or {}), **dict(key.weights or ())}
    threshold = defaults.coverage_threshold if key.threshold is None else key.threshold
    adapter = params_of(item)["sway_adapter"]
    plan[name] = {
        "id": name,
        "origin": key.origin,
        "spec": str(suite.path),
        "base": suite.spec.envelope.models.base.base,
        "adapter": adapter.path or adapter.model or "",
        "threshold": threshold,
        "weights": weights,
        "seed": defaults.seed,
        "notes": [*(f"line {n.line}: {n.message}" for n in suite.notes), *suite.notes_on(adapter)],
        "probes": {entry.probe.name: entry.place for entry in suite.entries},
        "selected": [],
    }
    for one, label in suite.left_out_labels.items():
        reason = f"{one.name}: {one.reason}"
        leave_out(item.config, LeftOutAdapter(f"{key.origin}[{label}]", key.origin, str(one.path), reason))


def assignment_of(item: pytest.Item) -> ItemAssignment | None:
    """Where an item belongs; None for one that needs no model of ours."""
    params = params_of(item)
    model, *others = (params.get(name) for name in MODEL_FIXTURES)
    if isinstance(model, InvalidMark):
        return None
    if model is None:
        loads = not _LOADING.isdisjoint(getattr(item, "fixturenames", ()))
        return ItemAssignment(_CODE_FIRST, _CODE_FIRST) if loads else None
    place = ItemAssignment(_digest(model), _digest(model, *others))
    key = item_key(item)
    return place if key is None else place._replace(suite=suite_id(item, key), probe=key.entry.probe.name)


def _digest(*keys: Any) -> str:
    """Of all that the keys hold; equal in every worker."""
    parts = [astuple(key) if is_dataclass(key) and not isinstance(key, type) else key for key in keys]
    return sha256(repr(parts).encode()).hexdigest()

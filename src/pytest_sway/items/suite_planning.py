"""The plan of every collected item: which suite it belongs to, and which model and adapter it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, is_dataclass, replace
from hashlib import sha256
from typing import Any

import pytest

from pytest_sway.items.callspec import params_of
from pytest_sway.items.item_key import MODEL_FIXTURES, InvalidMark, item_key, suite_id
from pytest_sway.session.plan import ItemAssignment, LeftOutAdapter, SessionPlan, SuitePlan

_CODE_FIRST = "sway_spec"
"""In place of a model, for tests whose model ``sway_spec`` names: a fixture, so known when they run."""
_LOADING = frozenset({*MODEL_FIXTURES, "sway", "sway_engine"})


def plan_suite(item: pytest.Item, plan: SessionPlan) -> None:
    """Plan the whole suite that an item belongs to: every entry of its spec, selected or not."""
    key = item_key(item)
    if key is None or (name := suite_id(item, key)) in plan.suites:
        return
    suite, defaults = key.suite, key.suite.spec.envelope.defaults
    adapter = params_of(item)["sway_adapter"]
    spec_notes = [f"line {note.line}: {note.message}" for note in suite.notes]
    plan.suites[name] = SuitePlan(
        id=name,
        origin=key.origin,
        spec=str(suite.path),
        base=suite.spec.envelope.models.base.base,
        adapter=adapter.path or adapter.model or "",
        threshold=defaults.coverage_threshold if key.threshold is None else key.threshold,
        weights={**(defaults.score_weights or {}), **dict(key.weights or ())},
        seed=defaults.seed,
        notes=(*spec_notes, *suite.notes_on(adapter)),
        probes={entry.probe.name: entry.location for entry in suite.entries},
    )
    for one, label in suite.left_out_labels.items():
        left_out = f"{key.origin}[{label}]"
        reason = f"{one.name}: {one.reason}"
        plan.left_out.setdefault(left_out, LeftOutAdapter(left_out, key.origin, str(one.path), reason))


def assign_items(items: Iterable[pytest.Item], plan: SessionPlan) -> None:
    """Note the items that were selected, after every deselection."""
    for item in items:
        if (assignment := _assignment(item)) is not None:
            plan.assignments[item.nodeid] = assignment


def _assignment(item: pytest.Item) -> ItemAssignment | None:
    """What an item needs; None for one that needs no model of ours."""
    params = params_of(item)
    model, *others = (params.get(name) for name in MODEL_FIXTURES)
    if isinstance(model, InvalidMark):
        return None
    if model is None:
        loads = not _LOADING.isdisjoint(getattr(item, "fixturenames", ()))
        return ItemAssignment(_CODE_FIRST, _CODE_FIRST) if loads else None
    assignment = ItemAssignment(_digest(model), _digest(model, *others))
    key = item_key(item)
    if key is None:
        return assignment
    return replace(assignment, suite=suite_id(item, key), probe=key.entry.probe.name)


def _digest(*keys: Any) -> str:
    """Of all that the keys hold; equal in every worker."""
    parts = [astuple(key) if is_dataclass(key) and not isinstance(key, type) else key for key in keys]
    return sha256(repr(parts).encode()).hexdigest()

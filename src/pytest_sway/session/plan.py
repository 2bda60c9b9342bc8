"""What was planned: every suite with all its probes, which were selected, and which items share a subject.

The gate reads it, so that a probe which was planned and never reported is missed, not forgotten; under
``-n`` the scheduler reads it, so that what needs one model stays together.
Builtins only: an xdist worker sends its plan to the controller.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

Plan = dict[str, dict[str, Any]]

PLAN = pytest.StashKey[Plan]()
"""Suites by id, in the order of collection. There once an item of ours was collected."""


class ItemAssignment(NamedTuple):
    """Where an item belongs; equal in every worker.

    Attributes:
        model: digest of the model that it needs.
        subject: digest of model, adapter and null plan.
        suite, probe: of an item that measures a probe of a suite; else empty.
    """

    model: str
    subject: str
    suite: str = ""
    probe: str = ""


class LeftOutAdapter(NamedTuple):
    """A folder that a pattern names as an adapter, and that is not evaluated.

    Attributes:
        suite: id under which it is reported, as a suite without a probe.
        origin: where its fleet was collected: what the suites of the fleet name as theirs.
        folder: its path.
        reason: the folder as the user wrote it, and why it is not evaluated.
    """

    suite: str
    origin: str
    folder: str
    reason: str


LEFT_OUT = pytest.StashKey[dict[str, LeftOutAdapter]]()
"""Adapters that are not evaluated, by the ids of their suites."""
ASSIGNMENTS = pytest.StashKey[dict[str, ItemAssignment]]()
"""Places of the selected items of ours, by node id."""


def plan_of(config: pytest.Config) -> Plan:
    """The session's plan."""
    return config.stash.setdefault(PLAN, {})


def assignments_of(config: pytest.Config) -> dict[str, ItemAssignment]:
    """Places of the session's items, by node id; empty in a project without any of ours."""
    return config.stash.setdefault(ASSIGNMENTS, {})


def left_out_of(config: pytest.Config) -> dict[str, LeftOutAdapter]:
    """The session's adapters that are not evaluated."""
    return config.stash.setdefault(LEFT_OUT, {})


def leave_out(config: pytest.Config, adapter: LeftOutAdapter) -> None:
    """Note that an adapter that was named will not be evaluated."""
    left_out_of(config).setdefault(adapter.suite, adapter)


def select(config: pytest.Config, nodeid: str, place: ItemAssignment) -> None:
    """Note that an item will run."""
    assignments_of(config)[nodeid] = place
    if place.suite:
        _select(plan_of(config), place.suite, place.probe)


def to_json(config: pytest.Config) -> dict[str, Any]:
    """Plan and places as JSON and execnet take them."""
    return {
        "suites": plan_of(config),
        "left_out": [list(adapter) for adapter in left_out_of(config).values()],
        "places": {nodeid: list(place) for nodeid, place in assignments_of(config).items()},
    }


def merge(config: pytest.Config, wire: dict[str, Any]) -> None:
    """Take in what a worker sent; workers collect alike."""
    plan, places = plan_of(config), assignments_of(config)
    for suite in wire["suites"].values():
        plan.setdefault(suite["id"], suite)
        for probe in suite["selected"]:
            _select(plan, suite["id"], probe)
    for adapter in wire["left_out"]:
        leave_out(config, LeftOutAdapter(*adapter))
    for nodeid, place in wire["places"].items():
        places.setdefault(nodeid, ItemAssignment(*place))


def lose(config: pytest.Config, nodeid: str) -> None:
    """Note that a worker died in an item, so that the gate can say why its probe did not report."""
    place = assignments_of(config).get(nodeid)
    if place is not None and place.suite:
        plan_of(config)[place.suite].setdefault("crashed", []).append(place.probe)


def _select(plan: Plan, suite: str, probe: str) -> None:
    selected = plan[suite]["selected"]
    if probe not in selected:
        selected.append(probe)

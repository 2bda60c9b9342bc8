"""What was planned: every suite with all its probes, and which of them were selected.

The gate reads it, so that a probe which was planned and never reported is missed, not forgotten.
Builtins only: an xdist worker sends its plan to the controller.
"""

from __future__ import annotations

from typing import Any

import pytest

Plan = dict[str, dict[str, Any]]

PLAN = pytest.StashKey[Plan]()
"""Suites by id, in the order of collection."""


def plan_of(config: pytest.Config) -> Plan:
    """The session's plan."""
    return config.stash.setdefault(PLAN, {})


def select(plan: Plan, suite: str, probe: str) -> None:
    """Note that a probe of a suite will run."""
    selected = plan[suite]["selected"]
    if probe not in selected:
        selected.append(probe)


def merge(plan: Plan, other: Plan) -> None:
    """Take in a worker's plan; workers collect alike."""
    for suite in other.values():
        plan.setdefault(suite["id"], suite)
        for probe in suite["selected"]:
            select(plan, suite["id"], probe)

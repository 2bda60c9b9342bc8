"""What a session is going to measure: the suites with all their probes, and which items were selected.

The gate reads it, so that a probe which was planned and never reported counts as missing; under ``-n`` the
scheduler reads it, so that the items of one model stay in one worker. An xdist worker sends its plan to the
controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class SuitePlan:
    """One suite on one subject, as its spec describes it.

    Attributes:
        id: unique in the session.
        origin: node id of the spec file or of the marked function; the suites of a fleet share it.
        spec: path of the spec.
        base: the base model, as the spec names it.
        adapter: folder or name of the adapter; of a full fine-tune the model's.
        threshold: the smallest composite that passes the gate.
        weights: by category, where spec or mark set them.
        seed: ``defaults.seed`` of the spec.
        notes: what the reports say of the spec and of the adapter.
        probes: the name of every probe, and its file and line.
    """

    id: str
    origin: str
    spec: str
    base: str
    adapter: str
    threshold: float
    weights: Mapping[str, float]
    seed: int
    notes: tuple[str, ...]
    probes: Mapping[str, str]


@dataclass(frozen=True)
class ItemAssignment:
    """What an item needs and measures; equal in every worker.

    Attributes:
        model: digest of the model that it needs.
        subject: digest of model, adapter and null plan.
        suite, probe: of an item that measures a probe of a suite; else empty.
    """

    model: str
    subject: str
    suite: str = ""
    probe: str = ""


@dataclass(frozen=True)
class LeftOutAdapter:
    """A folder that a pattern names as an adapter, and that is not evaluated.

    Attributes:
        suite: id under which it is reported, as a suite without a probe.
        origin: that of the suites of its fleet.
        folder: its path.
        reason: the folder as the user wrote it, and why it is not evaluated.
    """

    suite: str
    origin: str
    folder: str
    reason: str


@dataclass
class SessionPlan:
    """Everything that was planned, and what became known of it while the session went on.

    Attributes:
        suites: by id, in the order of collection; those of which no item was selected too.
        left_out: adapters that are not evaluated, by the ids of their suites.
        assignments: of the selected items of ours, by node id.
        crashed: node ids of the items in which a worker died.
    """

    suites: dict[str, SuitePlan] = field(default_factory=dict)
    left_out: dict[str, LeftOutAdapter] = field(default_factory=dict)
    assignments: dict[str, ItemAssignment] = field(default_factory=dict)
    crashed: set[str] = field(default_factory=set)

    @property
    def subjects(self) -> set[str]:
        """The digests of all subjects that selected items need."""
        return {assignment.subject for assignment in self.assignments.values()}

    @property
    def selected_probes(self) -> dict[str, list[str]]:
        """The selected probes of each suite; without the suites that have none."""
        return _probes_by_suite(self.assignments.values())

    @property
    def crashed_probes(self) -> dict[str, list[str]]:
        """The probes of each suite in which a worker died; without the suites that have none."""
        return _probes_by_suite(self.assignments[nodeid] for nodeid in self.crashed)

    def note_crash(self, nodeid: str) -> None:
        """A worker died in an item: the gate can say why its probe did not report."""
        if nodeid in self.assignments:
            self.crashed.add(nodeid)

    def merge(self, other: SessionPlan) -> None:
        """Add what a worker planned; workers that collect alike plan the same."""
        for suite in other.suites.values():
            self.suites.setdefault(suite.id, suite)
        for adapter in other.left_out.values():
            self.left_out.setdefault(adapter.suite, adapter)
        for nodeid, assignment in other.assignments.items():
            self.assignments.setdefault(nodeid, assignment)

    def to_json(self) -> dict[str, Any]:
        """What a worker planned, as JSON takes it."""
        return {
            "suites": [asdict(suite) for suite in self.suites.values()],
            "left_out": [asdict(adapter) for adapter in self.left_out.values()],
            "assignments": {nodeid: asdict(one) for nodeid, one in self.assignments.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionPlan:
        """Read back what :meth:`to_json` wrote."""
        suites = [SuitePlan(**{**suite, "notes": tuple(suite["notes"])}) for suite in data["suites"]]
        left_out = [LeftOutAdapter(**adapter) for adapter in data["left_out"]]
        return cls(
            suites={suite.id: suite for suite in suites},
            left_out={adapter.suite: adapter for adapter in left_out},
            assignments={nodeid: ItemAssignment(**one) for nodeid, one in data["assignments"].items()},
        )


def _probes_by_suite(assignments: Iterable[ItemAssignment]) -> dict[str, list[str]]:
    probes: dict[str, list[str]] = {}
    for assignment in assignments:
        names = probes.setdefault(assignment.suite, [])
        if assignment.probe not in names:
            names.append(assignment.probe)
    probes.pop("", None)  # items that measure no probe of a suite
    return probes


PLAN = pytest.StashKey[SessionPlan]()
"""There once an item of ours was collected, or a worker's plan came in."""


def plan_of(config: pytest.Config) -> SessionPlan:
    """The session's plan."""
    return config.stash.setdefault(PLAN, SessionPlan())

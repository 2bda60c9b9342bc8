"""Which worker runs what: items of one subject stay together, so that no worker loads a model twice.

xdist asks a scheduler only what its ``Scheduling`` protocol names; both classes here speak it, and
neither imports or inherits anything of xdist.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_sway.session.plan import ItemAssignment, plan_of

_AHEAD = 2
"""A worker runs an item once it knows the next one."""


class SchedulerProxy:
    """xdist's own scheduler of the user's mode, unless a worker collected an item of ours.

    That is known only when all have collected; until then, and after it, everything is passed on.
    """

    def __init__(self, chosen: Any, config: pytest.Config) -> None:
        self._chosen, self._config = chosen, config
        self._collections: dict[Any, list[str]] | None = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    @property  # type: ignore[misc]  # nobody sets it
    def __class__(self) -> type:  # ``-v`` prints its name
        return type(self._chosen)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take in what a worker collected, and after the last of them choose."""
        self._chosen.add_node_collection(node, collection)
        if self._collections is None:
            return
        self._collections[node] = list(collection)
        if self._chosen.collection_is_completed:
            self._choose(self._collections)
            self._collections = None

    def _choose(self, collections: Mapping[Any, list[str]]) -> None:
        assignments = plan_of(self._config).assignments
        first, *others = collections.values()
        if any(other != first for other in others) or not any(nodeid in assignments for nodeid in first):
            return  # xdist reports collections that differ
        groups = subject_units(first, assignments)
        rest = [index for index, nodeid in enumerate(first) if nodeid not in assignments]
        nodes = self._chosen.nodes
        split = getattr(self._chosen, "_split_scope", None)
        if split is not None:
            longest_first = getattr(self._config.option, "loadscopereorder", False)
            plain = scope_units(rest, first, split, longest_first=longest_first)
        else:
            plain = chunk_units(rest, len(nodes), self._config.option.maxschedchunk)
        self._chosen = SubjectScheduling(self._config, first, [*groups, *plain])
        for node in nodes:
            self._chosen.add_node(node)
            if node in collections:
                self._chosen.add_node_collection(node, collections[node])


@dataclass(eq=False)
class WorkUnit:
    """Items that one worker runs one after another.

    Attributes:
        waiting: their indices in the collection; those that were sent to no worker yet.
        model: the model that they need; empty for items that are none of ours.
    """

    waiting: deque[int]
    model: str = ""


def subject_units(collection: Sequence[str], assignments: Mapping[str, ItemAssignment]) -> list[WorkUnit]:
    """A unit per subject, subjects of one model in a row; both in the order of collection."""
    models: dict[str, dict[str, deque[int]]] = {}
    for index, nodeid in enumerate(collection):
        if (assignment := assignments.get(nodeid)) is not None:
            models.setdefault(assignment.model, {}).setdefault(assignment.subject, deque()).append(index)
    return [WorkUnit(items, model) for model, subjects in models.items() for items in subjects.values()]


def scope_units(
    indices: Sequence[int], collection: Sequence[str], split: Callable[[str], str], *, longest_first: bool
) -> list[WorkUnit]:
    """A unit per scope, as the user's mode says what a scope is."""
    scopes: dict[str, deque[int]] = {}
    for index in indices:
        scopes.setdefault(split(collection[index]), deque()).append(index)
    units = [WorkUnit(items) for items in scopes.values()]
    return sorted(units, key=lambda unit: -len(unit.waiting)) if longest_first else units


def chunk_units(indices: Sequence[int], workers: int, most: int | None) -> list[WorkUnit]:
    """Units in the order of collection, smaller towards the end, so that workers end together.

    Args:
        indices: of the items.
        workers: how many there are.
        most: items in a unit (``--maxschedchunk``); None for no limit.
    """
    units, start = [], 0
    while start < len(indices):
        size = max(1, (len(indices) - start) // (4 * workers))
        size = min(size, most or size)
        units.append(WorkUnit(deque(indices[start : start + size])))
        start += size
    return units


@dataclass
class _WorkerState:
    """What one worker has to do."""

    pending: list[int] = field(default_factory=list)
    """Indices that were sent to it, in order; it runs the first."""
    unit: WorkUnit | None = None
    """Where its next items come from."""
    model: str = ""
    """The model that it has loaded."""
    collected: bool = False


class SubjectScheduling:
    """Gives out units: first those of the worker's own model, then models that nobody else holds.

    So a worker never comes back to a model that it left, and of several workers each holds its own as
    long as there are enough. The items of a unit are sent one at a time: what a crash or ``-x`` leaves
    undone is here and not in a worker's queue.
    """

    collection_is_completed = True

    def __init__(self, config: pytest.Config, collection: list[str], units: Sequence[WorkUnit]) -> None:
        self.config = config  # pytest-rerunfailures reads it
        self._collection = collection
        self._units: Sequence[WorkUnit] = units
        self._queue: deque[WorkUnit] = deque()
        self._plain: deque[WorkUnit] = deque()
        self._unit = {index: unit for unit in units for index in unit.waiting}
        self._workers: dict[Any, _WorkerState] = {}

    @property
    def nodes(self) -> list[Any]:
        """Every worker that lives."""
        return list(self._workers)

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left but what the workers are at."""
        working = any(worker.unit or len(worker.pending) >= _AHEAD for worker in self._workers.values())
        return not (working or self._queue or self._plain)

    @property
    def has_pending(self) -> bool:
        """Whether the scheduled items are still being run; xdist prints its status where they are not."""
        working = any(worker.unit or worker.pending for worker in self._workers.values())
        return working or bool(self._queue or self._plain)

    def add_node(self, node: Any) -> None:
        """A worker is up, and will collect."""
        self._workers[node] = _WorkerState()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker has collected; one that replaces another and found other items is of no use."""
        if list(collection) == self._collection:
            self._workers[node].collected = True
        else:
            node.shutdown()

    def schedule(self) -> None:
        """Give everyone who has nothing to do a unit, and only then anyone a second."""
        for unit in self._units:
            (self._queue if unit.model else self._plain).append(unit)
        self._units = ()
        for node, worker in self._workers.items():
            is_free = worker.collected and not worker.pending and worker.unit is None
            if is_free and not node.shutting_down:
                self._take(worker)
                self._send(node, worker)
        self._feed_all()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A worker has run an item."""
        self._workers[node].pending.remove(item_index)
        self._feed(node)

    def mark_test_pending(self, item: str) -> None:
        """Run an item again, next (a plugin asks for it when a worker died in it)."""
        index = self._collection.index(item)
        self._put_back([index])
        self._feed_all()

    def remove_node(self, node: Any) -> str | None:
        """A worker is gone: the item that it was at, which counts as done; None where it had ended."""
        worker = self._workers.pop(node)
        crashed = worker.pending.pop(0) if worker.pending else None
        self._put_back(worker.pending, worker.unit)
        self._feed_all()
        return None if crashed is None else self._collection[crashed]

    def _put_back(self, indices: Sequence[int], unit: WorkUnit | None = None) -> None:
        """What is left undone is first in the queue, unless a worker is at its unit."""
        units = dict.fromkeys([*(self._unit[index] for index in indices), *([unit] if unit else [])])
        for index in reversed(indices):
            self._unit[index].waiting.appendleft(index)
        taken = [worker.unit for worker in self._workers.values()]
        for one in reversed(units):
            queue = self._queue if one.model else self._plain
            if one.waiting and one not in taken and one not in queue:
                queue.appendleft(one)

    def _feed_all(self) -> None:
        for node in self._workers:
            self._feed(node)

    def _feed(self, node: Any) -> None:
        """See that a worker knows its next item, or that there is none."""
        worker = self._workers[node]
        while worker.collected and not node.shutting_down and len(worker.pending) < _AHEAD:
            if worker.unit is None and not self._take(worker):
                node.shutdown()
                return
            self._send(node, worker)

    def _send(self, node: Any, worker: _WorkerState) -> None:
        """The next item of the worker's unit; of plain items all, as xdist does."""
        unit = worker.unit
        if unit is None:
            return
        count = 1 if unit.model else len(unit.waiting)
        indices = [unit.waiting.popleft() for _ in range(count)]
        worker.pending += indices
        node.send_runtest_some(indices)
        if not unit.waiting:
            worker.unit = None

    def _take(self, worker: _WorkerState) -> bool:
        """Find a worker its next unit; False where none is left."""
        if self._queue:
            worker.unit = self._best(worker.model)
            self._queue.remove(worker.unit)
            worker.model = worker.unit.model
        elif self._plain:
            worker.unit = self._plain.popleft()
        return worker.unit is not None

    def _best(self, model: str) -> WorkUnit:
        held = {worker.model for worker in self._workers.values()}
        return min(self._queue, key=lambda unit: (unit.model != model, unit.model in held))

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

from pytest_sway.session.plan import ItemAssignment, assignments_of

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
    def __class__(self) -> type:  # ``-v`` tells its name
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
        places = assignments_of(self._config)
        first, *others = collections.values()
        if any(other != first for other in others) or not any(nodeid in places for nodeid in first):
            return  # xdist tells collections that differ
        groups = grouped(first, places)
        rest = [index for index, nodeid in enumerate(first) if nodeid not in places]
        nodes = self._chosen.nodes
        split = getattr(self._chosen, "_split_scope", None)
        if split is not None:
            longest_first = getattr(self._config.option, "loadscopereorder", False)
            plain = scoped(rest, first, split, longest_first=longest_first)
        else:
            plain = chunked(rest, len(nodes), self._config.option.maxschedchunk)
        self._chosen = SubjectScheduling(self._config, first, [*groups, *plain])
        for node in nodes:
            self._chosen.add_node(node)
            if node in collections:
                self._chosen.add_node_collection(node, collections[node])


@dataclass(eq=False)
class Unit:
    """Items that one worker runs in a row.

    Attributes:
        waiting: their indices in the collection; those that no worker was told to run yet.
        model: the model that they need; empty for items that are none of ours.
    """

    waiting: deque[int]
    model: str = ""


def grouped(collection: Sequence[str], places: Mapping[str, ItemAssignment]) -> list[Unit]:
    """A unit per subject, subjects of one model in a row; both in the order of collection."""
    models: dict[str, dict[str, deque[int]]] = {}
    for index, nodeid in enumerate(collection):
        if (place := places.get(nodeid)) is not None:
            models.setdefault(place.model, {}).setdefault(place.subject, deque()).append(index)
    return [Unit(items, model) for model, subjects in models.items() for items in subjects.values()]


def scoped(
    indices: Sequence[int], collection: Sequence[str], split: Callable[[str], str], *, longest_first: bool
) -> list[Unit]:
    """A unit per scope, as the user's mode says what a scope is."""
    scopes: dict[str, deque[int]] = {}
    for index in indices:
        scopes.setdefault(split(collection[index]), deque()).append(index)
    units = [Unit(items) for items in scopes.values()]
    return sorted(units, key=lambda unit: -len(unit.waiting)) if longest_first else units


def chunked(indices: Sequence[int], workers: int, most: int | None) -> list[Unit]:
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
        units.append(Unit(deque(indices[start : start + size])))
        start += size
    return units


@dataclass
class _WorkerState:
    """What one worker has to do."""

    pending: list[int] = field(default_factory=list)
    """Indices that it was told to run, in order; it is at the first."""
    unit: Unit | None = None
    """Where its next items come from."""
    model: str = ""
    """The model that it has loaded."""
    collected: bool = False


class SubjectScheduling:
    """Hands out units: first those of the worker's own model, then models that nobody else holds.

    So a worker never comes back to a model that it left, and of several workers each holds its own as
    long as there are enough. The items of a unit are sent one at a time: what a crash or ``-x`` leaves
    undone is here and not in a worker's queue.
    """

    collection_is_completed = True

    def __init__(self, config: pytest.Config, collection: list[str], units: Sequence[Unit]) -> None:
        self.config = config  # pytest-rerunfailures reads it
        self._collection = collection
        self._units: Sequence[Unit] = units
        self._queue: deque[Unit] = deque()
        self._plain: deque[Unit] = deque()
        self._unit = {index: unit for unit in units for index in unit.waiting}
        self._desks: dict[Any, _WorkerState] = {}

    @property
    def nodes(self) -> list[Any]:
        """Every worker that lives."""
        return list(self._desks)

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left but what the workers are at."""
        working = any(desk.unit or len(desk.pending) >= _AHEAD for desk in self._desks.values())
        return not (working or self._queue or self._plain)

    @property
    def has_pending(self) -> bool:
        """Whether the scheduled items are still being run; xdist tells its status where they are not."""
        return bool(self._queue or self._plain) or any(d.unit or d.pending for d in self._desks.values())

    def add_node(self, node: Any) -> None:
        """A worker is up, and will collect."""
        self._desks[node] = _WorkerState()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker has collected; one that replaces another and found other items is of no use."""
        if list(collection) == self._collection:
            self._desks[node].collected = True
        else:
            node.shutdown()

    def schedule(self) -> None:
        """Give everyone who has nothing to do a unit, and only then anyone a second."""
        for unit in self._units:
            (self._queue if unit.model else self._plain).append(unit)
        self._units = ()
        for node, desk in self._desks.items():
            if desk.collected and not desk.pending and desk.unit is None:
                self._take(desk)
                self._send(node, desk)
        self._feed_all()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A worker has run an item."""
        self._desks[node].pending.remove(item_index)
        self._feed(node)

    def mark_test_pending(self, item: str) -> None:
        """Run an item again, next (a plugin asks for it when a worker died in it)."""
        index = self._collection.index(item)
        self._put_back([index])
        self._feed_all()

    def remove_node(self, node: Any) -> str | None:
        """A worker is gone: the item that it was at, which counts as done; None where it had ended."""
        desk = self._desks.pop(node)
        crashed = desk.pending.pop(0) if desk.pending else None
        self._put_back(desk.pending, desk.unit)
        self._feed_all()
        return None if crashed is None else self._collection[crashed]

    def _put_back(self, indices: Sequence[int], unit: Unit | None = None) -> None:
        """What is left undone is first in the queue, unless a worker is at its unit."""
        units = dict.fromkeys([*(self._unit[index] for index in indices), *([unit] if unit else [])])
        for index in reversed(indices):
            self._unit[index].waiting.appendleft(index)
        taken = [desk.unit for desk in self._desks.values()]
        for one in reversed(units):
            queue = self._queue if one.model else self._plain
            if one.waiting and one not in taken and one not in queue:
                queue.appendleft(one)

    def _feed_all(self) -> None:
        for node in self._desks:
            self._feed(node)

    def _feed(self, node: Any) -> None:
        """See that a worker knows its next item, or that there is none."""
        desk = self._desks[node]
        while desk.collected and not node.shutting_down and len(desk.pending) < _AHEAD:
            if desk.unit is None and not self._take(desk):
                node.shutdown()
                return
            self._send(node, desk)

    def _send(self, node: Any, desk: _WorkerState) -> None:
        """The next item of the worker's unit; of plain items all, as xdist does."""
        unit = desk.unit
        if unit is None:
            return
        count = 1 if unit.model else len(unit.waiting)
        indices = [unit.waiting.popleft() for _ in range(count)]
        desk.pending += indices
        node.send_runtest_some(indices)
        if not unit.waiting:
            desk.unit = None

    def _take(self, desk: _WorkerState) -> bool:
        """Find a worker its next unit; False where none is left."""
        if self._queue:
            desk.unit = self._best(desk.model)
            self._queue.remove(desk.unit)
            desk.model = desk.unit.model
        elif self._plain:
            desk.unit = self._plain.popleft()
        return desk.unit is not None

    def _best(self, model: str) -> Unit:
        held = {desk.model for desk in self._desks.values()}
        return min(self._queue, key=lambda unit: (unit.model != model, unit.model in held))

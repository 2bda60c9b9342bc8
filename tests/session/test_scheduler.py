"""Who runs what: workers and xdist's session are played, so that any order of events can be tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.session.plan import PLAN, ItemAssignment, SessionPlan
from pytest_sway.session.scheduler import (
    SchedulerProxy,
    SubjectScheduling,
    chunk_units,
    scope_units,
    subject_units,
)

subjects = st.tuples(st.sampled_from("mnop"), st.sampled_from("abc"))
kinds = st.lists(st.none() | subjects, min_size=1, max_size=25)
"""What each item of a collection is: plain, or of a model's subject."""


class Worker:
    """As xdist's worker: it runs an item only when it knows the next, or that there is none."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.ran: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.shutting_down
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        return len(self.queue) > (0 if self.shutting_down else 1)


class Play:
    """A session of played workers over a collection."""

    def __init__(self, items: Sequence[tuple[str, str] | None], workers: int) -> None:
        self.ids = [f"t{i}" for i in range(len(items))]
        self.places = {
            nodeid: ItemAssignment(model, model + subject)
            for nodeid, (model, subject) in zip(self.ids, (i or ("", "") for i in items), strict=True)
            if model
        }
        plain = [i for i, item in enumerate(items) if item is None]
        units = [*subject_units(self.ids, self.places), *chunk_units(plain, workers, None)]
        self.sched = SubjectScheduling(SimpleNamespace(), self.ids, units)  # type: ignore[arg-type]
        self.workers: list[Worker] = []
        self.lost: list[str] = []
        for _ in range(workers):
            self.sched.add_node(self.worker())
        for worker in self.workers:
            self.sched.add_node_collection(worker, self.ids)
        self.sched.schedule()

    def worker(self) -> Worker:
        self.workers.append(Worker())
        return self.workers[-1]

    def run(self, data: st.DataObject, crashes: int = 0) -> None:
        """Until nobody can run: each time some worker runs an item, or dies in it and is replaced."""
        while able := [w for w in self.sched.nodes if w.can_run]:
            worker = data.draw(st.sampled_from(able))
            if crashes and data.draw(st.booleans()):
                crashes -= 1
                self.lost.append(str(self.sched.remove_node(worker)))
                new = self.worker()
                self.sched.add_node(new)
                self.sched.add_node_collection(new, self.ids)
                self.sched.schedule()
            else:
                index = worker.queue.pop(0)
                worker.ran.append(index)
                self.sched.mark_test_complete(worker, index)
            if self.sched.tests_finished:
                for node in self.sched.nodes:
                    node.shutdown()

    def loads(self, worker: Worker) -> list[str]:
        """Which models a worker loads: one more whenever an item needs another than the last."""
        needed = [self.places[self.ids[i]].model for i in worker.ran if self.ids[i] in self.places]
        return [model for i, model in enumerate(needed) if not i or needed[i - 1] != model]


@given(kinds, st.integers(1, 4), st.data())
def test_items_run_once_and_workers_load_a_model_once(
    items: list[tuple[str, str] | None], workers: int, data: st.DataObject
) -> None:
    play = Play(items, workers)
    play.run(data)
    assert sorted(i for w in play.workers for i in w.ran) == list(range(len(items)))
    assert play.sched.tests_finished
    assert not play.sched.has_pending
    for worker in play.workers:
        assert max(Counter(play.loads(worker)).values(), default=1) == 1
    homes = {
        (play.places[play.ids[i]].subject, number)
        for number, worker in enumerate(play.workers)
        for i in worker.ran
        if play.ids[i] in play.places
    }
    assert len(homes) == len({subject for subject, _ in homes})  # a subject is in one worker


@given(kinds, st.integers(1, 3), st.integers(1, 3), st.data())
def test_after_a_crash_all_but_the_crashed_item_run(
    items: list[tuple[str, str] | None], workers: int, crashes: int, data: st.DataObject
) -> None:
    play = Play(items, workers)
    play.run(data, crashes)
    ran = [play.ids[i] for w in play.workers for i in w.ran]
    assert sorted([*ran, *play.lost]) == sorted(play.ids)


def test_what_a_crash_leaves_is_sent_to_no_worker_that_shuts_down() -> None:
    play = Play([None] * 4, workers=2)
    ends, crashes = play.workers
    for index in list(ends.queue):
        play.sched.mark_test_complete(ends, index)
    assert ends.shutting_down
    play.sched.remove_node(crashes)
    new = play.worker()
    play.sched.add_node(new)
    play.sched.add_node_collection(new, play.ids)
    play.sched.schedule()
    assert new.queue == crashes.queue[1:]


@given(kinds, st.data())
def test_one_crash_costs_one_load(items: list[tuple[str, str] | None], data: st.DataObject) -> None:
    play = Play(items, 1)
    play.run(data, crashes=1)
    models = {place.model for place in play.places.values()}
    assert sum(len(play.loads(worker)) for worker in play.workers) <= len(models) + len(play.lost)


def test_workers_keep_their_model_and_take_a_free_one() -> None:
    play = Play([("m", "a"), ("m", "b"), ("n", "a"), ("n", "b")], workers=2)
    one, two = play.workers
    assert (one.queue, two.queue) == ([0, 1], [2, 3])


def test_plain_items_come_after_the_subjects() -> None:
    play = Play([None, None, ("m", "a"), ("m", "a")], workers=2)
    assert [w.queue for w in play.workers] == [[2, 3], [0, 1]]


def test_workers_without_work_are_sent_home() -> None:
    play = Play([("m", "a"), ("m", "a")], workers=3)
    assert [w.queue for w in play.workers] == [[0, 1], [], []]
    assert [w.shutting_down for w in play.workers] == [False, True, True]


def test_a_group_is_sent_item_by_item_so_that_x_stops_soon() -> None:
    play = Play([("m", "a")] * 20, workers=1)
    (worker,) = play.workers
    assert worker.queue == [0, 1]
    play.sched.mark_test_complete(worker, worker.queue.pop(0))
    assert worker.queue == [1, 2]


def test_an_item_that_a_plugin_wants_again_is_run_next() -> None:
    """pytest-rerunfailures asks for it, and reads ``config`` of any scheduler."""
    play = Play([("m", "a")] * 4, workers=1)
    assert play.sched.remove_node(play.workers[0]) == "t0"
    play.sched.mark_test_pending("t0")
    new = play.worker()
    play.sched.add_node(new)
    play.sched.add_node_collection(new, play.ids)
    play.sched.schedule()
    assert new.queue == [0, 1]
    assert play.sched.config is not None


def test_a_replacement_that_found_other_items_runs_nothing() -> None:
    play = Play([("m", "a")] * 4, workers=1)
    play.sched.remove_node(play.workers[0])
    new = play.worker()
    play.sched.add_node(new)
    play.sched.add_node_collection(new, ["other"])
    play.sched.schedule()
    assert new.shutting_down
    assert new.queue == []


@given(st.integers(0, 300), st.integers(1, 8), st.none() | st.integers(1, 20))
def test_chunks_keep_the_order_and_the_limit(count: int, workers: int, most: int | None) -> None:
    sizes = [len(unit.waiting) for unit in chunk_units(range(count), workers, most)]
    joined = [i for unit in chunk_units(range(count), workers, most) for i in unit.waiting]
    assert joined == list(range(count))
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=1) <= (most or max(1, count // (4 * workers)))


def test_a_scope_is_a_unit_and_the_longest_may_come_first() -> None:
    ids = ["a.py::x", "b.py::x", "b.py::y"]
    for longest_first, expected in ((False, [[0], [1, 2]]), (True, [[1, 2], [0]])):
        units = scope_units(range(3), ids, lambda nodeid: nodeid.split("::")[0], longest_first=longest_first)
        assert [list(unit.waiting) for unit in units] == expected


class Chosen:
    """xdist's scheduler, as far as it is asked before it schedules."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.collected = 0

    def add_node(self, node: Any) -> None:
        self.nodes.append(node)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        self.collected += 1

    @property
    def collection_is_completed(self) -> bool:
        return self.collected == 2


@pytest.mark.parametrize(
    ("places", "second", "expected"),
    [
        ({}, ["t0", "t1"], Chosen),
        ({"t0": ItemAssignment("m", "a")}, ["t0", "t1"], SubjectScheduling),
        ({"t0": ItemAssignment("m", "a")}, ["t1"], Chosen),  # xdist tells that they differ
        ({"gone": ItemAssignment("m", "a")}, ["t0", "t1"], Chosen),
    ],
)
def test_xdists_own_scheduler_stays_unless_an_item_is_ours(
    places: dict[str, ItemAssignment], second: list[str], expected: type
) -> None:
    config = SimpleNamespace(stash=pytest.Stash(), option=SimpleNamespace(maxschedchunk=None))
    config.stash[PLAN] = SessionPlan(assignments=places)
    chooser = SchedulerProxy(Chosen(), config)  # type: ignore[arg-type]
    for node, collection in ((Worker(), ["t0", "t1"]), (Worker(), second)):
        assert chooser.__class__ is Chosen
        chooser.add_node(node)
        chooser.add_node_collection(node, collection)
    assert chooser.__class__ is expected
    assert len(chooser.nodes) == 2


class Config:
    """What xdist's schedulers ask of a config."""

    def __init__(self) -> None:
        self.stash = pytest.Stash()
        self.option = SimpleNamespace(loadscopereorder=True, maxschedchunk=None)

    def getvalue(self, name: str) -> Any:
        return {"tx": ["2*popen"]}[name]

    def getoption(self, name: str) -> Any:
        return getattr(self.option, name)


class Recorded(Worker):
    """A worker that remembers what it was told."""

    gateway = SimpleNamespace(id="gw")

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        super().send_runtest_some(indices)
        self.told.append(list(indices))

    def send_steal(self, indices: Sequence[int]) -> None:
        self.told.append(("steal", list(indices)))

    def shutdown(self) -> None:
        super().shutdown()
        self.told.append("shutdown")


@pytest.mark.parametrize(
    "mode", ["LoadScheduling", "LoadScopeScheduling", "LoadFileScheduling", "WorkStealingScheduling"]
)
def test_a_project_without_sway_is_shared_out_as_xdist_does(mode: str) -> None:
    """The same commands, in the same order, from the bare scheduler and from the one that was wrapped."""
    scheduler = pytest.importorskip("xdist.scheduler")
    ids = [f"test_{i % 3}.py::t{i}" for i in range(40)]

    def commands(sched: Any) -> list[list[Any]]:
        workers = [Recorded(), Recorded()]
        for worker in workers:
            sched.add_node(worker)
        for worker in workers:
            sched.add_node_collection(worker, ids)
        sched.schedule()
        while able := [w for w in workers if w.can_run]:
            for worker in able:
                sched.mark_test_complete(worker, worker.queue.pop(0), 0.01)
        return [worker.told for worker in workers]

    bare = commands(getattr(scheduler, mode)(Config()))
    config = Config()
    assert commands(SchedulerProxy(getattr(scheduler, mode)(config), config)) == bare  # type: ignore[arg-type]
    assert sum(len(told) for told in bare) > 2

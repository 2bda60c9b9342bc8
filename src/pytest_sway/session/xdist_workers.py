"""Between the controller and xdist's workers: plans are merged, the scheduler is chosen, crashes are noted.

A worker's plan travels in a file: xdist sends nothing of ours before the first report, and the scheduler
needs it before the first item. Nothing here imports xdist.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pytest_sway.session.plan import SessionPlan, plan_of

_FOLDER, _OUTPUT = "sway_plans", "sway_plan"
MOMENT = "sway_moment"
"""Key of the moment that a worker takes as the present: local time, in ISO 8601 without an offset."""


class Workers:
    """What the controller knows of its workers; registered only where xdist is."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: TemporaryDirectory[str] | None = None
        self._moment = datetime.now().isoformat()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker the folder for its plan, and the moment of the run."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="pytest-sway-")
        node.workerinput[_FOLDER] = self._folder.name
        node.workerinput[MOMENT] = self._moment

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """The scheduler of the user's mode; one that also groups where there is something to group.

        ``each`` needs no grouping, and a scheduler that a project made itself is its own affair.
        """
        scheduler = yield
        if config.getoption("dist") == "each" or not type(scheduler).__module__.startswith("xdist."):
            return scheduler
        from pytest_sway.session.scheduler import SchedulerProxy

        return SchedulerProxy(scheduler, config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """A worker has collected: its plan was written before this was sent."""
        if self._folder is None:
            return
        path = _plan_file(self._folder.name, node.workerinput)
        if path.is_file():
            self._merge(path.read_text(encoding="utf-8"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """A worker died in an item."""
        plan_of(self._config).note_crash(crashitem)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker is done; one on another machine has its plan among its output."""
        text = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if text:
            self._merge(text)

    def pytest_unconfigure(self) -> None:
        """Remove the folder of the plans."""
        if self._folder is not None:
            self._folder.cleanup()

    def _merge(self, text: str) -> None:
        plan_of(self._config).merge(SessionPlan.from_json(json.loads(text)))


def send_plan(config: pytest.Config) -> None:
    """Write a worker's plan into the controller's folder; where that is on another machine, its output."""
    worker: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
    text = json.dumps(plan_of(config).to_json())
    folder = worker.get(_FOLDER, "")
    if folder and Path(folder).is_dir():
        _plan_file(folder, worker).write_text(text, encoding="utf-8")
    else:
        config.workeroutput[_OUTPUT] = text  # type: ignore[attr-defined]


def _plan_file(folder: str, worker: dict[str, Any]) -> Path:
    return Path(folder) / f"{worker['workerid']}.json"

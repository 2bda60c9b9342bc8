"""The process that holds the models and runs pytest on one spec after another."""

from __future__ import annotations

import gc
import tempfile
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import Backend, ModelKey
from pytest_sway.items.item_key import item_key
from pytest_sway.items.spec_backend import load_spec_backend
from pytest_sway.items.stash_keys import SHOW_PROGRESS
from pytest_sway.pytest_session import Outcomes, run_quietly
from pytest_sway.reports.json_report import payload
from pytest_sway.serve.messages import Cancel, Finished, Job, ProbeFinished, ProbeStarted, Progress, Stop
from pytest_sway.serve.warm_backends import WarmBackends
from pytest_sway.session.item_report import ItemReport
from pytest_sway.session_error import SessionError
from pytest_sway.suites.json_conversion import to_json

SPEC = "sway.yaml"


class ServedRun(Outcomes):
    """The plugin of one run: lends models, reports progress, ends a run that is cancelled.

    Args:
        job: the run.
        connection: to the other process.
        warm: the models.
    """

    def __init__(self, job: Job, connection: Connection, warm: WarmBackends) -> None:
        super().__init__()
        self._job, self._connection, self._warm = job, connection, warm
        self.is_cancelled = False
        self._config: pytest.Config | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Have the engine tell of its progress."""
        self._config = config
        config.stash[SHOW_PROGRESS] = self._progress

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the items of the probes that are asked for."""
        wanted = set(self._job.probes)
        kept = [item for item in items if not wanted or _probe_name(item) in wanted]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_sway_backend(self, config: pytest.Config, model: ModelKey) -> Backend:
        """A model that is loaded already, or that stays loaded from now on."""
        return self._warm.get(model)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Tell which probe is measured."""
        self._connection.send(ProbeStarted(self._job.run, _probe_name(item)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell what came out of a probe."""
        super().pytest_runtest_logreport(report)
        if text := vars(report).get("sway"):
            result = to_json(ItemReport.from_text(text).result)
            self._connection.send(ProbeFinished(self._job.run, result))

    def _progress(self, done: int, total: int) -> None:
        self._connection.send(Progress(self._job.run, done, total))
        if self._connection.poll():
            message = self._connection.recv()
            if isinstance(message, Cancel) and message.run == self._job.run:
                self.is_cancelled = True
                pytest.exit("cancelled")


def work(connection: Connection, most_models: int) -> None:
    """Do jobs until the other process says stop, or is gone.

    Args:
        connection: to the other process.
        most_models: that stay loaded.
    """
    warm = WarmBackends(_load, most_models)
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Stop):
                return
            if isinstance(message, Job):
                connection.send(_done(message, connection, warm))
                gc.collect()
    except (EOFError, OSError):
        return  # the daemon has ended
    finally:
        warm.close()


def _done(job: Job, connection: Connection, warm: WarmBackends) -> Finished:
    """Run a job; whatever goes wrong is its own outcome."""
    run = ServedRun(job, connection, warm)
    with tempfile.TemporaryDirectory(prefix="sway-serve-") as folder:
        spec = Path(folder) / SPEC
        spec.write_text(job.spec, "utf-8")
        try:
            suites = run_quietly(spec, [], run, root=Path(folder))
        except SessionError as error:
            fault = str(error).replace(f"{folder}/", "").replace(folder, "")
            return Finished(job.run, None, "" if run.is_cancelled else fault, run.is_cancelled, warm.names)
    if run.is_cancelled:
        return Finished(job.run, None, "", True, warm.names)
    result = {**payload(suites[0]), "spec_path": ""}  # of a temporary folder
    return Finished(job.run, result, models=warm.names)


def _probe_name(item: pytest.Item) -> str:
    key: Any = item_key(item)
    return key.entry.probe.name if key is not None else item.name


def _load(key: ModelKey) -> Backend:
    return load_spec_backend(key, datetime.now().astimezone())

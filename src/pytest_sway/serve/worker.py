"""The process that holds the models and runs pytest on one spec after another."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
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
_POSITION = re.compile(rf"^{re.escape(SPEC)}(:\d+)*: ", re.MULTILINE)
"""Before a fault of a spec."""
_PLACE = re.compile(rf" \({re.escape(SPEC)}:\d+\)")
"""After the name of a probe that failed the gate."""


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
        self._lent: list[Backend] = []
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
        backend = self._warm.get(model)
        self._lent.append(backend)
        return backend

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Tell which probe is measured."""
        self._connection.send(ProbeStarted(self._job.run, _probe_name(item)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell what came out of a probe."""
        super().pytest_runtest_logreport(report)
        if report.failed and report.when != "call":
            self._discard()
        if text := vars(report).get("sway"):
            item = ItemReport.from_text(text)
            context = to_json(item.context) if item.context is not None else None
            self._connection.send(ProbeFinished(self._job.run, to_json(item.result), context))

    def _discard(self) -> None:
        """Lend a model to no other run where a fixture failed: an adapter may still be on it.

        It is closed once the run is over: the fixtures that are left still use it.
        """
        self._warm.discard_later(self._lent)
        self._lent = []

    def _progress(self, done: int, total: int) -> None:
        self._connection.send(Progress(self._job.run, done, total))
        if self._connection.poll():
            message = self._connection.recv()
            if isinstance(message, Cancel) and message.run == self._job.run:
                self.is_cancelled = True
                pytest.exit("cancelled")


def work(connection: Connection, most_models: int, most_bytes: int | None, scratch: str) -> None:
    """Do jobs until the other process says stop, or is gone.

    Args:
        connection: to the other process.
        most_models: that stay loaded.
        most_bytes: that their weights take together; None for any.
        scratch: folder for temporary files, which the other process removes.
    """
    tempfile.tempdir = scratch
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too; the daemon says when to stop
    warm = WarmBackends(_load_model, most_models, most_bytes)
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Stop):
                return
            if isinstance(message, Job):
                done = _done(message, connection, warm)
                warm.end_run()
                connection.send(replace(done, models=warm.models))
                warm.collect_garbage()
    except (EOFError, OSError):
        return  # the daemon has ended
    finally:
        warm.close()
        shutil.rmtree(scratch, ignore_errors=True)  # the other process may have been killed


def _done(job: Job, connection: Connection, warm: WarmBackends) -> Finished:
    """Run a job; whatever goes wrong is its own outcome."""
    run = ServedRun(job, connection, warm)
    try:
        return _finished(job, run)
    except OSError as error:  # a full disk, say; where the daemon has gone, the next message tells
        return Finished(job.run, None, f"the worker: {error.strerror or type(error).__name__}", status=503)


def _finished(job: Job, run: ServedRun) -> Finished:
    with tempfile.TemporaryDirectory(prefix="sway-serve-") as folder:
        spec = Path(folder) / SPEC
        spec.write_text(job.spec, "utf-8")
        try:
            suites = run_quietly(spec, [], run, root=Path(folder))
        except SessionError as error:
            fault = _POSITION.sub("", str(error).replace(f"{folder}/", "").replace(folder, ""))
            if "Traceback" in fault:
                sys.stderr.write(f"{fault}\n")
                fault = "the spec could not be run; see the server's log"
            return Finished(job.run, None, "" if run.is_cancelled else fault, run.is_cancelled)
    if run.is_cancelled:
        return Finished(job.run, None, "", True)
    return Finished(job.run, _without_file(payload(suites[0])))


def _without_file(result: dict[str, Any]) -> dict[str, Any]:
    """A result that does not speak of the temporary file: whoever asked has another one."""
    reasons = [_PLACE.sub("", reason) for reason in result["gate"]["reasons"]]
    return {**result, "spec_path": "", "gate": {**result["gate"], "reasons": reasons}}


def _probe_name(item: pytest.Item) -> str:
    key: Any = item_key(item)
    return key.entry.probe.name if key is not None else item.name


def _load_model(key: ModelKey) -> Backend:
    return load_spec_backend(key, datetime.now().astimezone())

"""Keeps the worker running, hands it one run after another, and takes what it says."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from pytest_sway.serve.messages import (
    Cancel,
    Finished,
    Job,
    LoadedModel,
    ProbeFinished,
    ProbeStarted,
    Progress,
    Stop,
)
from pytest_sway.serve.runs import Run, RunHistory, RunState
from pytest_sway.serve.worker import work

_POLL_S = 0.05
_STOP_S = 10.0
"""How long the worker may take to end by itself."""
_MOST_REMEMBERED = 100


class QueueFullError(Exception):
    """Too many runs wait already."""


@dataclass(frozen=True)
class WorkerSettings:
    """How the worker is run.

    Attributes:
        most_models: that stay loaded.
        most_bytes: that their weights take together; None for any.
        most_waiting: runs that may wait.
        timeout: seconds that a run may take; None for any.
    """

    most_models: int = 2
    most_bytes: int | None = None
    most_waiting: int = 32
    timeout: float | None = None


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process that is started here does not see Ctrl-C, from its first moment on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Supervisor:
    """One worker and its queue; its methods may be called from any thread."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: deque[Run] = deque()
        self._current: Run | None = None
        self._worker: BaseProcess | None = None
        self._connection: Connection | None = None
        self._scratch: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sway-supervisor", daemon=True)
        self.history = RunHistory(_MOST_REMEMBERED)
        self.models: tuple[LoadedModel, ...] = ()
        self.run_count, self.run_seconds, self.restarts = 0, 0.0, 0

    def start(self) -> None:
        """Begin to take runs; the worker is started with the first."""
        self._thread.start()

    def submit(self, run: Run) -> None:
        """Put a run in the queue.

        Raises:
            QueueFullError: too many wait.
        """
        with self._lock:
            if self.is_full:
                raise QueueFullError
            self._waiting.append(run)
            self.history.add(run)

    @property
    def is_full(self) -> bool:
        """Whether no run is taken."""
        return len(self._waiting) >= self._settings.most_waiting or self._stopping.is_set()

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return len(self._waiting)

    def cancel(self, run: Run) -> None:
        """End a run: at once where it waits, between two batches where it is measured."""
        with self._lock:
            if run in self._waiting:
                self._waiting.remove(run)
                run.end(RunState.CANCELLED)
            elif not run.is_over:
                run.cancel_asked = True

    def stop(self, patience: float) -> None:
        """Finish what is measured within ``patience`` seconds, cancel what waits, end the worker."""
        self._stopping.set()
        with self._lock:
            for run in self._waiting:
                run.end(RunState.CANCELLED, "the server is stopping")
            self._waiting.clear()
        deadline = time.monotonic() + patience
        while self._current is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if (current := self._current) is not None:
            self.cancel(current)
        self._thread.join(2 * _STOP_S)  # longer than it waits for the worker
        self._end_worker()

    def _serve(self) -> None:
        while not self._stopping.is_set() or self._current is not None:
            with self._lock:
                run = self._waiting.popleft() if self._waiting else None
                self._current = run
            if run is None:
                time.sleep(_POLL_S)
                continue
            try:
                self._measure(run)
            finally:
                self._current = None

    def _end(self, run: Run, state: RunState, error: str = "", status: int = 400) -> None:
        """Note that a run that was begun is over."""
        self.run_count += 1
        self.run_seconds += time.monotonic() - run.started
        run.end(state, error, status)

    def _measure(self, run: Run) -> None:
        """Have the worker do a run; whatever happens to the worker is the run's outcome."""
        run.state, run.started = RunState.RUNNING, time.monotonic()
        run.events.append({"event": "started"})
        try:
            connection = self._running_worker()
            connection.send(Job(run.id, run.spec, run.probes))
            self._follow(run, connection)
        except (EOFError, OSError) as error:
            fault = self._why_ended(error)
            self._end_worker()
            self._end(run, RunState.FAILED, fault, 503)
        except Exception as error:  # the queue goes on, whatever it is
            self._end_worker()
            fault = f"the worker returned an invalid answer: {type(error).__name__}"
            self._end(run, RunState.FAILED, fault, 503)

    def _why_ended(self, error: Exception) -> str:
        if self._worker is None:
            return f"the worker cannot be started: {getattr(error, 'strerror', None) or error}"
        self._worker.join(1.0)
        return f"the worker ended (exit status {self._worker.exitcode}); it crashed or ran out of memory"

    def _follow(self, run: Run, connection: Connection) -> None:
        """Take what the worker says of a run, until it is over."""
        cancelled = False
        while not run.is_over:
            if run.cancel_asked and not cancelled:
                cancelled = True
                connection.send(Cancel(run.id))
            if self._is_late(run):
                self._end_worker()
                self._end(run, RunState.FAILED, f"the run took longer than {self._settings.timeout:g} s", 504)
            elif cancelled and not connection.poll(_STOP_S):
                self._end_worker()
                self._end(run, RunState.CANCELLED)
            elif connection.poll(_POLL_S):
                self._take(run, connection.recv())

    def _is_late(self, run: Run) -> bool:
        timeout = self._settings.timeout
        return timeout is not None and time.monotonic() - run.started > timeout

    def _take(self, run: Run, message: object) -> None:
        if isinstance(message, ProbeStarted):
            run.events.append({"event": "probe", "name": message.probe})
        elif isinstance(message, Progress):
            run.events.append({"event": "progress", "done": message.done, "total": message.total})
        elif isinstance(message, ProbeFinished):
            run.events.append({"event": "result", "result": message.result, "context": message.context})
        elif isinstance(message, Finished) and message.run == run.id:
            self.models = message.models
            run.result = message.result
            failed = RunState.CANCELLED if message.is_cancelled else RunState.FAILED
            state = RunState.DONE if message.result is not None else failed
            self._end(run, state, message.error, message.status)

    def _running_worker(self) -> Connection:
        """The connection to a worker that lives, and whose folder is there.

        Raises:
            OSError: none can be started.
        """
        is_whole = self._scratch is not None and Path(self._scratch).is_dir()  # cleaners remove what is old
        if self._worker is None or not self._worker.is_alive() or self._connection is None or not is_whole:
            self._end_worker()
            self._start_worker()
        assert self._connection is not None
        return self._connection

    def _start_worker(self) -> None:
        context = multiprocessing.get_context("spawn")
        scratch = tempfile.mkdtemp(prefix="sway-serve-")
        connection, other = context.Pipe()
        arguments = (other, self._settings.most_models, self._settings.most_bytes, scratch)
        worker = context.Process(target=work, args=arguments, name="sway-worker", daemon=True)
        try:
            with _no_interrupts():
                worker.start()
        except BaseException:
            connection.close()
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        finally:
            other.close()
        self._worker, self._connection, self._scratch = worker, connection, scratch
        self.restarts += 1

    def _end_worker(self) -> None:
        """End the worker, whatever state it is in, and remove its temporary files."""
        worker, connection, scratch = self._worker, self._connection, self._scratch
        self._worker = self._connection = self._scratch = None
        self.models = ()
        if worker is None or connection is None or scratch is None:
            return
        try:
            self._wait_for_end(worker, connection)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _wait_for_end(self, worker: BaseProcess, connection: Connection) -> None:
        try:
            if self._current is None or self._current.is_over:
                connection.send(Stop())
                worker.join(_STOP_S)
        except (OSError, ValueError):
            pass
        connection.close()
        if worker.is_alive():
            worker.kill()
            worker.join(_STOP_S)

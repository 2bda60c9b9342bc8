"""A line that moves while a long item is measured; on a terminal alone, never in a log or a worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

_PATIENCE_S, _REFRESH_S = 1.0, 0.2
_SAVE, _CLEAR, _RESTORE = "\x1b7", "\x1b[K", "\x1b8"


def progress_line(config: pytest.Config) -> Callable[[int, int], None] | None:
    """Who shows that ``done`` of ``total`` tokens are done; None where nobody looks on."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or hasattr(config, "workerinput") or config.get_verbosity() < 0:
        return None
    if not reporter.isatty or not config.get_terminal_writer().hasmarkup:
        return None

    def write(text: str) -> None:
        reporter.flush()
        if capture is None:
            _put(text)
            return
        with capture.global_and_fixture_disabled():
            _put(text)

    return ProgressLine(write, time.perf_counter)


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class ProgressLine:
    """Shows a round's progress behind what pytest has written in the line, and takes it away again.

    The cursor is put back each time, so pytest goes on where it was.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write, self._clock = write, clock
        self._began: float | None = None
        self._shown: float | None = None

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` tokens of a round are done."""
        now = self._clock()
        if done >= total:
            if self._shown is not None:
                self._write(f"{_SAVE}{_CLEAR}{_RESTORE}")
            self._began = self._shown = None
            return
        if self._began is None:
            self._began = now
        lately = self._shown is not None and now - self._shown < _REFRESH_S
        if lately or now - self._began < _PATIENCE_S:
            return
        self._shown = now
        self._write(f"{_SAVE} {done / total:4.0%} of {total:,} tokens{_CLEAR}{_RESTORE}")

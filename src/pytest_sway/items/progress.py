"""The progress of a long item, in pytest's line; only on a terminal, never in a log or a worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from pytest_sway.text.formatting import long_duration

TIME_LEFT: pytest.StashKey[Callable[[], float] | None] = pytest.StashKey()
"""Seconds left of the suite that runs, where it was estimated."""
_DELAY_S, _REFRESH_S = 1.0, 0.2
_SAVE, _CLEAR, _RESTORE = "\x1b7", "\x1b[K", "\x1b8"


def progress_line(config: pytest.Config) -> Callable[[int, int], None] | None:
    """What shows that ``done`` of ``total`` tokens are done; None where there is no terminal."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if not shows_text(config):
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

    return ProgressLine(write, time.perf_counter, lambda: _seconds_left(config))


def shows_text(config: pytest.Config) -> bool:
    """Whether this process has pytest's terminal, and its user did not ask for less."""
    has_terminal = config.pluginmanager.get_plugin("terminalreporter") is not None
    return has_terminal and not hasattr(config, "workerinput") and config.get_verbosity() >= 0


def _seconds_left(config: pytest.Config) -> float | None:
    left = config.stash.get(TIME_LEFT, None)
    return None if left is None else left()


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class ProgressLine:
    """Shows a round's progress after what pytest has written in the line, and clears it again.

    The cursor is put back each time, so that pytest continues where it was.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float],
        seconds_left: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._write, self._clock, self._seconds_left = write, clock, seconds_left
        self._began: float | None = None
        self._last_write: float | None = None

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` tokens of a round are done."""
        now = self._clock()
        if done >= total:
            if self._last_write is not None:
                self._write(f"{_SAVE}{_CLEAR}{_RESTORE}")
            self._began = self._last_write = None
            return
        if self._began is None:
            self._began = now
        is_recent = self._last_write is not None and now - self._last_write < _REFRESH_S
        if is_recent or now - self._began < _DELAY_S:
            return
        self._last_write = now
        left = self._seconds_left()
        whole = "" if left is None else f", about {long_duration(left)} left"
        self._write(f"{_SAVE} {done / total:4.0%} of {total:,} tokens{whole}{_CLEAR}{_RESTORE}")

"""Work that a signal may not cut in two: a timeout or Ctrl-C is delivered when it is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_RAISING = [signal.SIGINT, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
"""Signals whose handlers raise in the middle of whatever is running: Ctrl-C, pytest-timeout's."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put signals off until the end. For milliseconds, where half the work would poison what follows."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled by the main thread alone
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = {s: signal.signal(s, lambda number, frame: waiting.append((number, frame))) for s in _RAISING}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, signal.SIG_DFL if handler is None else handler)
        if waiting and callable(handler := before[signal.Signals(waiting[0][0])]):
            handler(*waiting[0])

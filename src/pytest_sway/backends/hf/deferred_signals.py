"""Work that a signal may not cut in two: a timeout or Ctrl-C is delivered when it is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_RAISING = [*([signal.SIGALRM] if hasattr(signal, "SIGALRM") else []), signal.SIGINT]
"""Signals whose handlers raise in the middle of whatever is running: pytest-timeout's, Ctrl-C.

Ctrl-C is taken over last and given back first: what may cut in between ends the session. A signal that no
Python function handles is left alone: a job in the background of a shell ignores Ctrl-C.
"""


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Put signals off until the end. For milliseconds, where half the work would poison what follows."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled by the main thread alone
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = {which: handler for which in _RAISING if callable(handler := signal.getsignal(which))}
    for which in before:
        signal.signal(which, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        for which, handler in reversed(before.items()):
            signal.signal(which, handler)
        first = max(waiting, key=lambda one: one[0] == signal.SIGINT, default=None)
        if first is not None:
            before[signal.Signals(first[0])](*first)

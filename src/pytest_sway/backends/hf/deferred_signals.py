"""Delivers a timeout or Ctrl-C only after a block of code that must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_DEFERRED = [*([signal.SIGALRM] if hasattr(signal, "SIGALRM") else []), signal.SIGINT]
"""Signals whose handlers raise an exception wherever the program is: pytest-timeout's, and Ctrl-C.

The handler of Ctrl-C is replaced last and restored first, so that a Ctrl-C in between ends the session. A
signal without a Python handler is left alone: a background job of a shell ignores Ctrl-C.
"""


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer signals until the end of the block. For work of milliseconds that must not stop half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled by the main thread alone
        return
    received: list[tuple[int, FrameType | None]] = []
    handlers = {number: handler for number in _DEFERRED if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda signum, frame: received.append((signum, frame)))
    try:
        yield
    finally:
        for number, handler in reversed(handlers.items()):
            signal.signal(number, handler)
        first = max(received, key=lambda item: item[0] == signal.SIGINT, default=None)
        if first is not None:
            handlers[signal.Signals(first[0])](*first)

"""Limits on what a text of somebody else may compute: a chat template, a regular expression.

A limit ends Python code and regular expressions of Python's own. It holds in the main thread of a system with
interval timers (Linux, macOS); memory is limited there, on Linux. It cannot end a long call into C code that
looks at no signal, such as a tokenizer's regular expressions. Standard library only.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_TICK_S = 0.1
"""Of the process's time, between two looks at the thread's own."""
_limits: list[tuple[float, float]] = []
"""Of the blocks that the main thread is in: when each ends by the thread's clock, and its seconds."""


class LimitExceeded(Exception):
    """It takes longer, or more memory, than it may; the message says which, as the end of a sentence."""


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """Raise LimitExceeded in the block once this thread has computed so long; waiting does not count.

    The timer is that of the process's own time (SIGVTALRM), which neither pytest-timeout nor another plugin
    uses; one that was set before is set again afterwards. In a block inside of another, the limit that is
    reached first holds. Outside of the main thread there is no limit.

    Args:
        seconds: of the processor.
    """
    if not _is_main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    limit = (time.thread_time() + seconds, seconds)
    before = signal.signal(signal.SIGVTALRM, _look)
    # again and again: a template may swallow an error
    timer = signal.setitimer(signal.ITIMER_VIRTUAL, _TICK_S, _TICK_S)
    try:
        _limits.append(limit)
        yield
        _look()  # a call into C code may have ended late, or its error was swallowed
    finally:
        _limits.remove(limit)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        signal.setitimer(signal.ITIMER_VIRTUAL, *timer)


def _look(_: int = 0, __: FrameType | None = None) -> None:
    end, seconds = min(_limits, default=(math.inf, 0.0))
    if time.thread_time() >= end:
        raise LimitExceeded(f"it did not end within {seconds:g} s")


@contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Raise LimitExceeded in the block where the process would reserve so much more than before.

    Outside of the main thread there is no limit: the system has one limit for all threads of a process, and
    blocks that overlap would restore each other's.

    Args:
        size: bytes; other threads share them for as long as the block takes.
    """
    reserved = _reserved_memory() if _is_main_thread() else None
    if reserved is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = reserved + size
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), hard))
    try:
        yield
    except MemoryError:
        raise LimitExceeded(f"it needs more than {size >> 20} MiB of memory") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _reserved_memory() -> int | None:
    """Bytes of this process's address space; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    import resource

    return pages * resource.getpagesize()

"""Ends a process together with those that it started."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress


def end_session(process: subprocess.Popen[bytes], patience: float) -> None:
    """Interrupt a process that leads a session of its own; kill it where it goes on.

    Args:
        process: was started with ``start_new_session``.
        patience: seconds that it has to end by itself.
    """
    # a shell's background jobs, and what they start, ignore SIGINT
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    _signal(process, signal.SIGTERM if is_ignored else signal.SIGINT)
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # Ctrl-C twice: at once
        process.wait(patience)
    _signal(process, signal.SIGKILL)  # its children too, where it has ended already
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

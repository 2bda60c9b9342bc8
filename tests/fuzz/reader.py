"""What holds for whatever a file contains: it is read or refused, in a message of ours, soon, and alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SECONDS = 5.0
"""A file of a few kilobytes that takes longer hangs, for whoever waits for it."""
_EFFECTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.remove", "socket.connect"}
_WRITING = os.O_WRONLY | os.O_RDWR


def nothing_else(folder: Path) -> None:
    """The file alone: nothing lies beside it."""


@dataclass(frozen=True)
class Reader:
    """One format and what reads it."""

    name: str
    file: str
    """Name of the file that the content is written to; may contain folders."""
    read: Callable[[Path], object]
    """Called with the written file."""
    refusals: tuple[type[Exception], ...]
    """The errors of ours whose message a user reads."""
    contents: st.SearchStrategy[bytes]
    beside: Callable[[Path], None] = nothing_else
    """Writes what lies beside the file, into the folder that is given."""
    may_remove: bool = False
    """Whether the file is a cache, which is made anew where it is broken."""


_effects: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        _effects.append(f"writes {arguments[0]!r}")
    elif event in _EFFECTS:
        _effects.append(f"{event}{arguments!r}")


sys.addaudithook(_watch)


@contextmanager
def _watched(*, may_remove: bool) -> Iterator[None]:
    """Fails where the block takes too long, writes a file, starts a process or opens a connection."""
    global _watching

    def stop(*_: object) -> None:
        raise TimeoutError(f"still reading after {SECONDS:g} s")

    _effects.clear()
    before, compiled = signal.signal(signal.SIGALRM, stop), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # a module that is imported late is compiled, and that is no effect
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.dont_write_bytecode = compiled
    effects = [one for one in _effects if not (may_remove and one.startswith("os.remove"))]
    assert not effects, effects


def check(reader: Reader, content: bytes, folder: Path) -> None:
    """Reads ``content`` from a file below ``folder``; anything but a value or a refusal is raised."""
    file = folder / reader.file
    file.parent.mkdir(parents=True, exist_ok=True)
    reader.beside(folder)
    file.write_bytes(content)
    with _watched(may_remove=reader.may_remove):
        try:
            reader.read(file)
        except reader.refusals as refusal:
            message = str(refusal)
            assert message.strip(), f"{type(refusal).__name__} says nothing"
            assert all(character.isprintable() or character == "\n" for character in message), repr(message)

"""What holds for whatever a file contains: it is read or refused, in a message of ours, soon, and alone."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from pytest_sway.user_error import escape_steering

SECONDS = 5.0
"""Of the processor: a file of a few kilobytes that takes longer hangs, for whoever waits for it."""
_WAITING_SECONDS = 60.0
"""By the clock: what waits for something else takes none of the processor's."""
_EFFECTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "socket.connect"}
_CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
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
    sound: Sequence[bytes] = ()
    """Contents that are read without a refusal."""
    examples: int = 10_000
    """Contents of the nightly lane; fewer where a model is loaded for each."""
    writes: bool = False
    """Whether it may write and remove files below that folder."""


def each_step(refusals: tuple[type[Exception], ...], steps: Sequence[Callable[[], object]]) -> None:
    """Reads in several ways, each of them whatever the one before refused."""
    for step in steps:
        try:
            step()
        except refusals as refusal:
            assert str(refusal).strip()


_effects: list[str] = []
_watching = False
_own: Path | None = None
"""Below it files may be written; None: nowhere."""


def _is_own(path: Any) -> bool:
    """Whether a path is one that may be written; names alone are those of a folder that is being removed."""
    if _own is None or isinstance(path, int):
        return _own is not None
    absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a path would be resolved in steps
    return os.path.commonpath([absolute, _own]) == str(_own) or os.sep not in os.fsdecode(path)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        if not _is_own(arguments[0]):
            _effects.append(f"writes {arguments[0]!r}")
    elif event in _EFFECTS or (event in _CHANGES and not _is_own(arguments[0])):
        _effects.append(f"{event}{arguments!r}")


sys.addaudithook(_watch)


@contextmanager
def _watched(own: Path | None) -> Iterator[None]:
    """Fails where the block takes too long, writes a file, starts a process or opens a connection."""
    global _watching, _own

    def stop(*_: object) -> None:
        raise TimeoutError(f"still reading after {SECONDS:g} s")

    _effects.clear()
    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, _WAITING_SECONDS)
    _watching, _own = True, own
    compiled, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of a module that is imported late
    try:
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.dont_write_bytecode = compiled
    assert not _effects, _effects


def check(reader: Reader, content: bytes, folder: Path) -> None:
    """Reads ``content`` from a file below ``folder``; anything but a value or a refusal is raised."""
    file = folder / reader.file
    file.parent.mkdir(parents=True, exist_ok=True)
    reader.beside(folder)
    file.write_bytes(content)
    own = folder.resolve() if reader.writes else None
    with patch.object(tempfile, "tempdir", str(folder)), _watched(own):
        try:
            reader.read(file)
        except reader.refusals as refusal:
            message = str(refusal)
            assert message.strip(), f"{type(refusal).__name__} says nothing"
            assert escape_steering(message) == message, repr(message)

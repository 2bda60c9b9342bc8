"""Which folders hold a complete adapter that was not evaluated yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pytest_sway.watch.adapter_folders import Files, files_of, may_go_on, why_incomplete

_NO_FILES: Files = ()


@dataclass
class _Folder:
    """A folder's files, since when they are what they are, and the files that were dealt with."""

    files: Files
    since: float
    done: Files = _NO_FILES
    reported: str = ""
    """The reason that was reported last."""
    reason: str | None = None
    """Why it is incomplete, empty where it is not; None as long as nobody looked."""
    looked: float = 0.0
    """When that was found out: what hindered reading may be gone later."""


class Incomplete(NamedTuple):
    """A folder whose files have not changed for long, and why it is not evaluated."""

    folder: Path
    reason: str


class PendingAdapters:
    """Takes note of folders and tells which are ready: complete, unchanged for a while, not evaluated yet.

    Args:
        settle: seconds that the files of an adapter must be unchanged.
        patience: seconds after which what is incomplete is reported, and what is complete is taken though
            the file that is written last has not come.
        clock: seconds that never go back.
    """

    def __init__(self, settle: float, patience: float, clock: Callable[[], float]) -> None:
        self._settle, self._patience, self._clock = settle, patience, clock
        self._folders: dict[Path, _Folder] = {}

    @property
    def folders(self) -> set[Path]:
        """Those of the last scan that are there."""
        return {folder for folder, one in self._folders.items() if one.files}

    def scan(self, folders: Iterable[Path]) -> None:
        """Look at the folders that there are; others are forgotten."""
        now, before = self._clock(), self._folders
        self._folders = {}
        for folder in folders:
            files = files_of(folder)
            known = before.get(folder)
            if known is None:
                known = _Folder(files, now)
            elif known.files != files:
                known = _Folder(files, now, known.done, known.reported)
            self._folders[folder] = known

    def next_ready(self) -> tuple[Path, Files] | None:
        """The first folder that is ready, with its files."""
        for folder, one in self._open():
            now = self._clock()
            quiet = now - one.since
            if quiet < self._settle:
                continue
            if one.reason is None or (one.reason and now - one.looked >= self._patience):
                one.reason, one.looked = why_incomplete(folder), now
            if one.reason:
                continue
            if quiet >= self._patience or not may_go_on(folder, one.done, one.files):
                return folder, one.files
        return None

    def overdue(self) -> Iterator[Incomplete]:
        """Folders that have been incomplete for long, each once."""
        for folder, one in self._open():
            is_late = self._clock() - one.since >= self._patience
            if one.reason and one.reason != one.reported and is_late:
                one.reported = one.reason
                yield Incomplete(folder, one.reason)

    def cannot_read(self, folder: Path, reason: str) -> None:
        """Note that a folder that is complete cannot be read at the moment."""
        self._folders[folder].reason, self._folders[folder].looked = reason, self._clock()

    def dealt_with(self, folder: Path, files: Files) -> None:
        """Note that a folder with these files was evaluated, or will not be."""
        self._folders[folder].done = files

    def open_again(self, folders: Iterable[Path]) -> None:
        """Have folders be evaluated again, whatever was done with them."""
        for folder in folders:
            if folder in self._folders:
                self._folders[folder].done = _NO_FILES

    def is_waiting(self) -> bool:
        """Whether something may become ready by time alone."""
        return any(self._clock() - one.since < self._patience for _, one in self._open())

    def _open(self) -> Iterator[tuple[Path, _Folder]]:
        for folder, one in self._folders.items():
            if one.files and one.files != one.done:
                yield folder, one

"""Events of the file system, which make a watch look at once; without them it looks every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})
"""Not what merely reads: an evaluation opens the adapter's files."""
_TOGETHER_S = 0.2


class FolderEvents(FileSystemEventHandler):
    """Waits for changes in some folders, not below them.

    Network file systems and containers' mounts often send no events: whoever waits looks again after a
    while in any case.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._observer = Observer()
        self._watches: dict[Path, ObservedWatch] = {}
        self._refused: set[Path] = set()
        self._observer.start()

    def observe(self, folders: Iterable[Path]) -> str:
        """Observe these folders and no others; why one cannot be, said once, else empty."""
        wanted = set(folders)
        for folder in [one for one in self._watches if one not in wanted]:
            self._forget(folder)
        fault = ""
        for folder in wanted - self._watches.keys() - self._refused:
            try:
                self._watches[folder] = self._observer.schedule(self, str(folder), recursive=False)
            except OSError as error:  # no watches are left, or the folder has gone
                self._refused.add(folder)
                fault = f"{folder}: {error.strerror or error}"
        self._refused &= wanted
        return fault

    def wait(self, seconds: float) -> None:
        """Wait for a change, or so long; a change is followed by others, which are waited for too."""
        if self._changed.wait(seconds) and seconds:
            time.sleep(_TOGETHER_S)
        self._changed.clear()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Something happened, on the observer's thread."""
        if event.event_type in _CHANGES:
            self._changed.set()

    def close(self) -> None:
        """End the observer's thread."""
        self._observer.stop()
        self._observer.join()

    def _forget(self, folder: Path) -> None:
        watch = self._watches.pop(folder)
        try:
            self._observer.unschedule(watch)
        except KeyError:  # the folder was deleted, and the observer forgot it by itself
            return

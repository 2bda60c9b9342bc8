"""The folder in which a server finds the adapters of a run, cleaned up also after a run that died."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_sway.backends.base import BackendError

PREFIX = "sway-"
_LOCK = ".lock"


class AdapterDirectory:
    """A run's own folders in a directory that it may share with other runs.

    A run holds a lock while it lives, which the system lets go of when the process ends in any way. Folders
    of a run whose lock is free are left over.

    Args:
        path: the directory, as this process sees it.
        server_path: the same directory, as the server sees it.

    Raises:
        BackendError: it cannot be written.
    """

    def __init__(self, path: Path, server_path: str) -> None:
        self.path = path
        self._server_path = server_path
        self._run = secrets.token_hex(4)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / f"{PREFIX}{self._run}{_LOCK}")
            self._lock.acquire(blocking=False)
        except (OSError, Timeout) as error:
            raise BackendError(
                f"models.ft.null_dir: adapters for the server cannot be written below {path}: {error}"
            ) from error

    def name(self, digest: str) -> str:
        """The name of an adapter of this run, by its content; no other run has it."""
        return f"{PREFIX}{self._run}-{digest}"

    def server_path(self, name: str) -> str:
        """An adapter's folder, as the server sees it."""
        return f"{self._server_path.rstrip('/')}/{name}"

    def take_over_dead_runs(self) -> Iterator[str]:
        """The names of adapters that dead runs left; each is removed once the next one is asked for."""
        for file in sorted(self.path.glob(f"{PREFIX}*{_LOCK}")):
            lock = FileLock(file)
            try:
                lock.acquire(blocking=False)
            except (OSError, Timeout):
                continue  # it lives
            for folder in sorted(self.path.glob(f"{file.name.removesuffix(_LOCK)}-*")):
                yield folder.name
                self.remove(folder.name)
            lock.release()
            file.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove an adapter's folder."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def close(self) -> None:
        """Remove this run's folders, and end it."""
        for folder in self.path.glob(f"{PREFIX}{self._run}-*"):
            self.remove(folder.name)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def default_directory() -> Path:
    """A directory of this user's for servers on this machine.

    Raises:
        BackendError: its name is taken by somebody else.
    """
    path = Path(tempfile.gettempdir()) / f"pytest-sway-{getpass.getuser()}"
    path.mkdir(exist_ok=True)
    if path.is_symlink() or (hasattr(os, "getuid") and path.stat().st_uid != os.getuid()):
        raise BackendError(f"{path} is not this user's own folder; name another one as models.ft.null_dir")
    return path

"""The folder in which a server finds the adapters of a run, cleaned up also after a run that died."""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
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
        url: of the server. Only what this machine's runs left for it is taken over: another server may still
            have its folders in use, and locks may not reach another machine.

    Raises:
        BackendError: it cannot be written.
    """

    def __init__(self, path: Path, server_path: str, url: str) -> None:
        self.path = path
        self._server_path = server_path
        here = hashlib.blake2b(f"{url} {socket.gethostname()}".encode(), digest_size=4).hexdigest()
        self._runs_here = f"{PREFIX}{here}-"
        self._run = f"{self._runs_here}{secrets.token_hex(4)}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / f"{self._run}{_LOCK}")
            self._lock.acquire(blocking=False)
        except (OSError, Timeout, NotImplementedError) as error:
            raise BackendError(
                f"cannot write adapters for the server to {path} (models.ft.null_dir): {error}"
            ) from error

    def name(self, digest: str) -> str:
        """The name of an adapter of this run, by its content; no other run has it."""
        return f"{self._run}-{digest}"

    def server_path(self, name: str) -> str:
        """An adapter's folder, as the server sees it."""
        return f"{self._server_path.rstrip('/')}/{name}"

    def clean_up(self, unload: Callable[[str], bool]) -> None:
        """Remove what dead runs left for this server.

        Args:
            unload: has the server forget an adapter; whether it has. The folder of one that it may still look
                for stays.
        """
        for file in sorted(self.path.glob(f"{self._runs_here}*{_LOCK}")):
            lock = FileLock(file)
            try:
                lock.acquire(blocking=False)
            except (OSError, Timeout):
                continue  # it lives
            try:
                if self._remove_all(file.name.removesuffix(_LOCK), unload):
                    file.unlink(missing_ok=True)
            finally:
                lock.release()

    def remove(self, name: str) -> None:
        """Remove an adapter's folder."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def close(self, unload: Callable[[str], bool] = lambda _: True) -> None:
        """Remove this run's folders, and end it; what the server may still look for stays for a later run."""
        if self._remove_all(self._run, unload):
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _remove_all(self, run: str, unload: Callable[[str], bool]) -> bool:
        """Remove a run's folders, unloaded first; whether none is left."""
        for scratch in self.path.glob(f".{run}-*"):
            self.remove(scratch.name)
        kept = 0
        for folder in sorted(self.path.glob(f"{run}-*")):
            if unload(folder.name):
                self.remove(folder.name)
            else:
                kept += 1
        return not kept


def default_directory() -> Path:
    """A directory of this user's for servers on this machine.

    Raises:
        BackendError: its name is taken by somebody else.
    """
    try:
        path = Path(tempfile.gettempdir()) / f"pytest-sway-{getpass.getuser()}"
        path.mkdir(exist_ok=True)
    except (OSError, KeyError) as error:  # a user without a name, a file in its place
        raise BackendError(
            f"cannot create a folder for adapters ({error}); set models.ft.null_dir to a writable folder"
        ) from error
    if path.is_symlink() or (hasattr(os, "getuid") and path.stat().st_uid != os.getuid()):
        raise BackendError(
            f"{path} is not owned by the current user; set models.ft.null_dir to another folder"
        )
    return path

"""Writes files and folders completely or not at all, whatever ends the process or fills the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

try:
    import fcntl
except ImportError:  # not on Windows, where a folder that is left over stays
    fcntl = None  # type: ignore[assignment]

_STALE_S = 60.0
"""Nobody writes one file for so long: an older temporary file was left by a process that was killed."""
_LONGEST_NAME = 200
"""Bytes; a file name may have 255, and the temporary file's is longer."""
_BEFORE = "before"
_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)
"""Of file systems that cannot sync, and of Windows for a file that is read-only."""
_MARKER = ".sway-scratch"
"""A file in a folder of ours, with the names of the host and of the process: no other folder is removed."""


def write_atomically(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Write a temporary file beside ``path``, sync it to the disk, then give it the name.

    A symbolic link stays, and the file that it points to is written. What cannot be replaced is written in
    place, and not atomically: devices, files that are mounted by themselves, and those in a read-only folder.

    Args:
        path: of the file; the folders above it are made where they are missing.
        content: of the file.
        replace: whether a file of that name is replaced.

    Returns:
        Whether the file was written: False only for a file that exists and is not replaced.

    Raises:
        OSError: it cannot be written; then what was there before is there still.
    """
    if replace and not can_be_replaced(path):
        return _write_in_place(path, content)
    try:
        with file_beside(path) as temporary:
            with temporary.path.open("xb") as file:
                file.write(content)
            return temporary.give_name(replace=replace)
    except OSError as error:
        if not replace or error.errno != errno.EBUSY or not path.is_file():
            raise
        return _write_in_place(path, content)  # it is mounted by itself


def can_be_replaced(path: Path) -> bool:
    """Whether another file can take its place: it is no device, and its folder can be written to."""
    if path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm"):  # noqa: S108 - a file system of files
        return False
    return not path.exists() or (path.is_file() and os.access(_target(path).parent, os.W_OK))


def _write_in_place(path: Path, content: bytes) -> bool:
    stream = {"/dev/stdout": sys.stdout, "/dev/stderr": sys.stderr}.get(str(path))
    if stream is not None:  # opened anew, it would be emptied
        stream.flush()
        with os.fdopen(os.dup(1 if stream is sys.stdout else 2), "wb") as file:
            file.write(content)
    else:
        path.write_bytes(content)
    return True


@dataclass(frozen=True)
class FileBeside:
    """A temporary file that is to become another one.

    Attributes:
        path: where it is written.
        target: the name that it gets.
    """

    path: Path
    target: Path

    def give_name(self, *, replace: bool = True) -> bool:
        """Sync it to the disk and give it the name; False where a file has it that is not replaced.

        Raises:
            OSError: it cannot be synced or renamed.
        """
        _sync(self.path)
        is_named = _give_name(self.path, self.target, replace=replace)
        _sync_folder(self.target.parent)
        return is_named


@contextmanager
def file_beside(target: Path) -> Iterator[FileBeside]:
    """A name for a temporary file beside ``target``; at the end there is none, whatever happened.

    Raises:
        OSError: the folder cannot be made.
    """
    target = _target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    name = _short_name(target.name)
    remove_leftovers(target.parent, temporary_name(re.escape(name)))
    # processes in two containers may have the same number, and write into a folder that they share
    temporary = target.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield FileBeside(temporary, target)
    finally:
        with suppress(OSError):  # the next write removes it
            temporary.unlink(missing_ok=True)


def append_atomically(path: Path, content: bytes) -> None:
    """Append to a file in one write, which other processes append to as well.

    Raises:
        OSError: it cannot be written; what was written of the content is taken back, unless another process
            has appended to it.
    """
    with path.open("ab", buffering=0) as file:
        written = 0
        try:
            while written < len(content):
                written += file.write(content[written:])
        except OSError:
            if written and file.tell() == os.fstat(file.fileno()).st_size:
                file.truncate(file.tell() - written)
            raise


def temporary_name(name: str) -> re.Pattern[str]:
    """What the temporary files of files are called whose names match ``name``."""
    return re.compile(rf"\.{name}\.\d+(\.[0-9a-f]{{8}})?\.tmp")


def remove_leftovers(folder: Path, name: re.Pattern[str]) -> None:
    """Remove temporary files of writers that were killed: those with such a name that are a minute old."""
    try:
        found = [Path(entry) for entry in os.scandir(folder) if name.fullmatch(entry.name)]
    except OSError:
        return
    for path in found:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE_S:
                path.unlink()


class ScratchFolder(TemporaryDirectory[str]):
    """A temporary folder that is removed also after the process was killed: by the next one of its kind.

    A process holds a lock on its folder while it lives, which the system releases when it ends in any way. A
    file ``.sway-scratch`` in the folder says that it is one, and of which host: locks may not reach another.

    Args:
        prefix: of the folder's name, which only folders of this kind have.
        parent: the folder that it is made in; by default the one for temporary files.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        super().__init__(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
        lock = _locked(Path(self.name))
        self._unlock = weakref.finalize(self, os.close, lock) if lock is not None else None
        try:
            (Path(self.name) / _MARKER).write_text(f"{platform.node()} {os.getpid()}\n", encoding="utf-8")
        except BaseException:
            self.cleanup()
            raise
        for other in Path(self.name).parent.glob(f"{prefix}*"):
            _remove_if_left_over(other)

    def cleanup(self) -> None:
        """Remove the folder, and release its lock."""
        super().cleanup()
        if self._unlock is not None:
            self._unlock()


@contextmanager
def new_folder(target: Path, prefix: str, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder to write into; at the end it takes the place of ``target``.

    Args:
        target: of which nothing is there, or an empty folder, or with ``replace`` any folder.
        prefix: of the temporary folder's name, beside the target.
        replace: whether a folder that is not empty is replaced.

    Raises:
        OSError: it cannot be written; then what was there before is there still.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with ScratchFolder(prefix, target.parent) as scratch:
        made, before = Path(scratch) / "new", Path(scratch) / _BEFORE / target.name
        made.mkdir()
        yield made
        for file in made.rglob("*"):
            if file.is_file() and not file.is_symlink():
                _sync(file)
        if replace and target.is_dir():
            before.parent.mkdir()
            target.rename(before)
        try:
            made.rename(target)
        except BaseException:
            if before.is_dir():
                before.rename(target)
            raise
        _sync_folder(target.parent)


def _target(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # symbolic links that point to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _short_name(name: str) -> str:
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()


def _give_name(temporary: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        temporary.replace(path)
        return True
    try:
        os.link(temporary, path)  # unlike a rename it never replaces another process's file
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _sync(path: Path) -> None:
    try:
        file = path.open("r+b")  # Windows syncs no file that is open for reading
    except PermissionError:
        file = path.open("rb")  # type: ignore[assignment]
    with file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise


def _sync_folder(folder: Path) -> None:
    """Make a new name last through a power failure; the file is complete without it too."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _locked(folder: Path) -> int | None:
    """A lock on a folder, which lives as long as this process; None where another one has it."""
    if fcntl is None:
        return None
    number = None
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if number is not None:
            os.close(number)
        return None
    return number


def _remove_if_left_over(folder: Path) -> None:
    """Remove a folder whose process has ended; a new one may not have its lock yet."""
    try:
        is_old = time.time() - folder.lstat().st_mtime > _STALE_S and _is_scratch(folder)
    except OSError:
        return
    lock = _locked(folder) if is_old else None
    if lock is not None:
        _put_back(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_scratch(folder: Path) -> bool:
    """Whether this host made the folder.

    Raises:
        OSError: its marker cannot be read.
    """
    marker = folder / _MARKER
    if folder.is_symlink() or marker.is_symlink() or not marker.is_file():
        return False
    host, _, number = marker.read_text(encoding="utf-8", errors="replace").rstrip("\n").rpartition(" ")
    return host == platform.node() and number.isdigit()


def _put_back(scratch: Path) -> None:
    """Give a folder its place again whose writer was killed before the new one took it."""
    with suppress(OSError):
        for before in (scratch / _BEFORE).iterdir():
            target = scratch.parent / before.name
            if not os.path.lexists(target):
                before.rename(target)

"""Tells whether files changed between the digest that names them and the end of their reading."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.model_files import files_digest, matching_files
from pytest_sway.regular_files import is_read_at_once

_State = tuple[str, int, int]
_TEXT_SUFFIXES = (".json", ".txt")


class UnchangedFiles:
    """Files of a folder, from before the first of them is read.

    Args:
        folder: of them.
        patterns: that name them.
    """

    def __init__(self, folder: Path, patterns: tuple[str, ...]) -> None:
        self.folder = folder
        self._patterns = patterns
        self._before = self._states()
        self._digest = ""

    def digest(self) -> str:
        """The digest of all of them.

        Raises:
            BackendError: they changed since this object was made.
            OSError: they cannot be read.
        """
        found = files_digest(self.folder, self._patterns)
        if self._states() != self._before:
            raise self._changed()
        self._digest = found
        return found

    def check(self) -> None:
        """Compare the files with what was hashed; they are hashed again only if one was written since.

        Raises:
            BackendError: they changed since then, or cannot be read any more.
        """
        try:
            if self._states() != self._before and files_digest(self.folder, self._patterns) != self._digest:
                raise self._changed()
        except OSError as error:
            raise self._changed() from error

    def _states(self) -> list[_State]:
        """What the file system says of each that a library reads: one that is written has another time.

        A log that grows in the folder changes nothing that is read. Inode and time of a status change say
        nothing either: they also change when a file is linked, or at each look on some network file systems.
        """
        found = []
        for path in matching_files(self.folder, self._patterns):
            if path.suffix in _TEXT_SUFFIXES and not is_read_at_once(path.name):
                continue
            try:
                one = path.stat()
            except OSError:  # it was removed meanwhile
                continue
            found.append((path.name, one.st_size, one.st_mtime_ns))
        return found

    def _changed(self) -> BackendError:
        return BackendError(
            f"the files in {self.folder} changed while they were read; wait until they are written "
            "completely, then run the evaluation again"
        )

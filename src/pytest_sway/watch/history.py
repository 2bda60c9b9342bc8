"""The results of a watch, each in a file of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_sway.atomic_files import remove_leftovers, temporary_name, write_atomically
from pytest_sway.regular_files import read_regular
from pytest_sway.reports.json_report import json_text

OWN = "sway_watch"
"""Key of what a watch adds to a result."""
_NAME = re.compile(r"\d{8}T\d{6}Z-(\d{5,})\.result\.json")
_TEMPORARY = temporary_name(_NAME.pattern)


@dataclass(frozen=True)
class Entry:
    """A result in the history.

    Attributes:
        file: its file.
        sequence: counts the results of a folder.
        adapter: the adapter's folder.
        digest: of the adapter; empty where it is not known.
        is_error: whether the evaluation failed.
    """

    file: Path
    sequence: int
    adapter: str
    digest: str
    is_error: bool


class History:
    """A folder of results; only those of the same spec are read, counted and removed.

    Args:
        folder: is made where it is missing.
        watched: path of the spec, or of the watched folder without one.
        most: results that are kept; 0 for all.
        now: the time of a result.

    Raises:
        OSError: the folder cannot be made or read.
    """

    def __init__(
        self,
        folder: Path,
        watched: str,
        most: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._watched, self._most, self._now = folder, watched, most, now
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, _TEMPORARY)  # of a watch that was killed while it wrote
        self.entries = sorted(self._read(), key=lambda one: one.sequence)
        self._last = max((int(match[1]) for match in self._names()), default=0)

    @property
    def next_sequence(self) -> int:
        """Of the result that is written next."""
        return self._last + 1

    def find(self, digest: str) -> Entry | None:
        """The last result of an adapter; errors do not count."""
        same = (one for one in reversed(self.entries) if one.digest == digest and not one.is_error)
        return next(same, None)

    def add(self, result: dict[str, Any], own: dict[str, Any]) -> Entry:
        """Write a result, whole or not at all, and remove the oldest ones beyond the limit.

        Args:
            result: as JSON.
            own: what the watch adds.

        Raises:
            OSError: it cannot be written.
        """
        now = self._now()
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._last += 1
            file = self._folder / f"{now:%Y%m%dT%H%M%SZ}-{self._last:05d}.result.json"
            added = {"sequence": self._last, **own, "spec_path": self._watched, "wrote_at": now.isoformat()}
            text = json_text({**result, OWN: added})
            # a path may have bytes that are no text
            if write_atomically(file, text.encode("utf-8", "replace"), replace=False):
                break
        self.entries.append(_entry(file, self._last, own))
        self._rotate()
        return self.entries[-1]

    def _rotate(self) -> None:
        while self._most and len(self.entries) > self._most:
            with suppress(OSError):  # the result itself is written
                self.entries.pop(0).file.unlink()

    def _names(self) -> Iterator[re.Match[str]]:
        for path in self._folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                yield match

    def _read(self) -> Iterator[Entry]:
        for match in self._names():
            file = self._folder / match[0]
            try:
                own = json.loads(read_regular(file))[OWN]
                if own["spec_path"] == self._watched:
                    yield _entry(file, int(match[1]), own)
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue  # another program's


def _entry(file: Path, sequence: int, own: dict[str, Any]) -> Entry:
    is_error = own["verdict"] == "error"
    return Entry(file, sequence, own["adapter_pointer"], own["adapter_digest"], is_error)

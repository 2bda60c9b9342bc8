"""Lets every call of a writer that writes fail once, in a process with ``fail_calls.c`` preloaded.

``python -m tests.crashes.sweep WRITER FOLDER STEP`` prints what it did as JSON; with STEP 5 every fifth call
fails.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes.writers import (
    STORE,
    WRITERS,
    Result,
    Writer,
    check_lines,
    check_parses,
    check_store,
    content,
    make_source,
)

ONCE, SPACE, ALL = 0, 1, 2
FAULTS = {
    "ENOSPC": (errno.ENOSPC, SPACE),
    "partial": (-1, SPACE),
    "EDQUOT": (errno.EDQUOT, ONCE),
    "EIO": (errno.EIO, ONCE),
    "EINTR": (errno.EINTR, ONCE),
    "EROFS": (errno.EROFS, ALL),
}
"""Name: the error of the nth call (-1: half the bytes, then a full disk), and what follows it."""
_REMOVES = {"unlink", "unlinkat", "rmdir"}


@dataclass
class Tally:
    """What a sweep did.

    Attributes:
        calls: that write, of one run.
        faults: runs with one that failed.
        refused: runs that ended with an error.
        problems: what must not be; empty where all is well.
    """

    calls: int = 0
    faults: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


class Sweep:
    """A writer in a folder that is laid out anew for every fault."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        self._writer, self._source, self._folder = writer, folder / "source", folder / "work"
        self._library = ctypes.CDLL(None)
        self._library.fail_calls_names.restype = ctypes.c_char_p
        store = self._folder if writer.name in _WITH_STORE else folder
        os.environ["SWAY_NULL_CACHE_DIR"] = str(store / STORE)
        os.environ["SOURCE_DATE_EPOCH"] = "1796000000"
        sys.dont_write_bytecode = True
        os.environ["XDG_CACHE_HOME"] = str(self._folder / "cache")
        self.tally = Tally()
        self._expected: dict[str, object] = {}
        self._files: set[str] = set()
        self._calls: list[str] = []

    def run(self, step: int) -> Tally:
        """Let every ``step``-th call fail, with each error, onto nothing and onto an earlier output."""
        make_source(self._source)
        self._lay_out()
        self._write()  # what is loaded in the first run writes too
        self._lay_out()
        status, messages = self._write()
        assert status == 0, messages
        self._expected = self._outputs()
        assert None not in self._expected.values(), self._expected
        self._files = self._names()
        self.tally.calls = len(self._calls)
        for number in range(1, self.tally.calls + 1, step):
            for name, (error, then) in FAULTS.items():
                self._fault(number, name, error, then)
        return self.tally

    def _fault(self, number: int, name: str, error: int, then: int) -> None:
        self._lay_out()
        old = self._outputs()
        where = f"{self._writer.name}: {name} at call {number} ({self._calls[number - 1]})"
        try:
            status, messages = self._write(number, error, then)
            self.tally.faults += 1
            self.tally.refused += status != 0
            self._check(old, status, messages)
            is_removal = self._calls[number - 1] in _REMOVES or then == ALL
            left = self._names() - self._files
            assert is_removal or not left, f"left {left}"
            self._make_old()
            self._check_again()
        except Exception as problem:
            self.tally.problems.append(f"{where}: {type(problem).__name__}: {problem}"[:1500])

    def _lay_out(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._writer.prepare(self._source, self._folder)

    def _write(self, number: int = 0, error: int = 0, then: int = 0) -> Result:
        armed = ctypes.c_char_p(os.fsencode(self._folder))
        self._library.fail_calls_arm(armed, ctypes.c_long(number), error, then)
        try:
            return self._writer.write(self._folder)
        finally:
            self._library.fail_calls_count()
            if not number:
                self._calls = self._library.fail_calls_names().decode().split()

    def _outputs(self) -> dict[str, object]:
        return {name: content(self._folder / name) for name in self._writer.outputs}

    def _names(self) -> set[str]:
        """Files and folders at the top and beside the outputs, but for the answers' own."""
        found = {entry.name for entry in self._folder.rglob("*") if entry.parent.name != STORE}
        return {name for name in found if name.startswith(".") or not name.endswith(".result.json")}

    def _check(self, old: dict[str, object], status: int, messages: str) -> None:
        """Every output is the new one, the old one or absent; what is not the new one is said."""
        found = self._outputs()
        for name, now in found.items():
            assert now in (self._expected[name], old[name], None), f"torn {name}: {now!r}"
            check_parses(self._folder / name)
        for name in self._writer.appended:
            check_lines(self._folder / name)
        check_store(self._folder)
        assert "Traceback" not in messages, messages
        if found != self._expected:
            assert status != 0, f"status 0 without its output; messages: {messages}"
            assert messages.strip(), "nothing was said"
            assert "Errno" not in messages, messages

    def _make_old(self) -> None:
        """Let a day pass for what was left over."""
        for path in self._folder.rglob("*"):
            os.utime(path, (0, 0), follow_symlinks=False)

    def _check_again(self) -> None:
        """The same once more, and nothing fails: all is there, and nothing is left over."""
        if all(value is not None for value in self._outputs().values()) and self._writer.name in _NEW_ONLY:
            return
        status, messages = self._write_again()
        assert status == 0, f"the next run ends with {status}: {messages}"
        if self._writer.name != "history":  # which has another entry now
            assert self._outputs() == self._expected, "the next run writes something else"
        left = self._names() - self._files
        assert not left, f"the next run leaves {left}"
        check_store(self._folder)

    def _write_again(self) -> Result:
        calls = self._calls
        try:
            return self._write()
        finally:
            self._calls = calls


_WITH_STORE = {"answers", "gate"}
"""Calls on the file of answers fail too; the others have answers from elsewhere."""
_NEW_ONLY = {"pack", "unpack"}
"""Refuse what is there already."""


def main() -> None:
    name, folder, step = sys.argv[1:]
    writer = next(one for one in WRITERS if one.name == name)
    tally = Sweep(writer, Path(folder)).run(int(step))
    print(json.dumps(vars(tally)))  # noqa: T201


if __name__ == "__main__":
    main()

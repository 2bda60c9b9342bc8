"""Where reports are written: whole, and one file per suite where there are several."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_sway.atomic_files import write_atomically
from pytest_sway.result import SuiteResult

_LONGEST_NAME = 60
"""Characters; of a file's name 255 bytes may be used, and a character has up to 4."""


def write_suites(
    suites: Sequence[SuiteResult], target: str, suffix: str, render: Callable[[SuiteResult], str]
) -> None:
    """One suite into the file ``target``; several into a folder of that name, one file each.

    Raises:
        OSError: a file cannot be written.
    """
    path = Path(target)
    if len(suites) == 1 and not path.is_dir():
        write_file(path, render(suites[0]))
        return
    taken: set[str] = set()
    for suite in suites:
        name = re.sub(r"[^\w.-]+", "_", suite.suite).strip("_")[:_LONGEST_NAME]
        while name in taken:
            name += "_"
        taken.add(name)
        write_file(path / f"{name}{suffix}", render(suite))


def write_file(path: Path, text: str) -> None:
    """Write a report completely or not at all; bytes of a path that are no text are written as escapes.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    write_atomically(path, text.encode("utf-8", "backslashreplace"))

"""Where reports are written: whole, and one file per suite where there are several."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

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
    """A temporary file beside it, then a rename: a reader never sees half a file.

    What a link points to is written, and a device or a pipe as it is: it takes no rename.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """As :func:`write_file`, of content that is no text.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

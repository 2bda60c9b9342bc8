"""The Markdown of all suites, on the page that GitHub shows of a job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pytest_sway.atomic_files import append_atomically
from pytest_sway.reports import markdown
from pytest_sway.result import SuiteResult

VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST = 1024 * 1024
"""Bytes; of a longer one GitHub shows nothing."""
_CUT = (
    "\n\n**Truncated here**: GitHub shows at most 1 MiB per step. `--sway-md=PATH` writes the whole report.\n"
)


def append(suites: Sequence[SuiteResult]) -> bool:
    """Append to the file that GitHub names; False where it names none.

    Raises:
        OSError: the file cannot be written, or what GitHub shows of it is full.
    """
    target = os.environ.get(VARIABLE)
    if not target:
        return False
    path = Path(target)
    start = _line_break(path)
    space = _MOST - len(start) - (path.stat().st_size if path.exists() else 0)
    text = _cut_to_fit("\n".join(map(markdown.text, suites)), space)
    if not text:
        raise OSError(f"{target} is full: GitHub shows at most 1 MiB per step")
    append_atomically(path, start + text)  # other commands of the step append to it as well
    return True


def _line_break(path: Path) -> bytes:
    """What ends the last line that another command wrote, where it did not."""
    if not path.exists() or not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"


def _cut_to_fit(text: str, space: int) -> bytes:
    """The whole lines that fit, with a word that some do not; what was folded is closed."""
    whole = text.encode(errors="backslashreplace")  # JSON can hold half a surrogate pair, UTF-8 cannot
    if len(whole) <= space:
        return whole
    closed = "\n\n</details>"
    kept = whole[: max(0, space - len((closed + _CUT).encode()))].rpartition(b"\n")[0]
    opened = kept.count(b"<details>") > kept.count(b"</details>")
    return (kept + ((closed if opened else "") + _CUT).encode()) if kept else b""

"""Sees what a case does beside its answer: processes, connections, files elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "pty.spawn")
_CONNECTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "shutil.rmtree")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(folder: Path) -> list[str]:
    """A list that every process, every connection and every file outside of ``folder`` is added to."""
    found: list[str] = []
    inside = (f"{folder}/", "/dev/", "/proc/")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STARTS or event in _CONNECTS:
            found.append(f"{event}{arguments!r}"[:300])
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not _is_inside(path, inside):
                found.append(f"writes {path!r}")
        elif event in _CHANGES and not _is_inside(arguments[0], inside):
            found.append(f"{event} {arguments[0]!r}")

    sys.addaudithook(hook)
    return found


def _is_inside(path: Any, inside: tuple[str, ...]) -> bool:
    if isinstance(path, int) or path is None:
        return True
    return f"{os.path.abspath(os.fsdecode(path))}/".startswith(inside)  # noqa: PTH100 - of bytes, too

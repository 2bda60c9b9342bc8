"""One hostile input: what writes it, the door that it comes in by, and what must become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Wanted = Literal["refused", "harmless", "either"]
"""``refused``: one message of ours. ``harmless``: read, and nothing came of what is hostile in it."""
CANARY = "executed"
"""The file that every payload would create, in the folder of its case."""


@dataclass(frozen=True)
class Answer:
    """What a door says.

    Attributes:
        is_refused: whether the input was refused.
        text: everything that a user reads.
    """

    is_refused: bool
    text: str


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Attributes:
        kind: the row of the table that it counts in.
        name: what is hostile in it.
        build: writes it into an empty folder, which is the working directory.
        door: reads it from there as the product does.
        wanted: what must become of it.
    """

    kind: str
    name: str
    build: Callable[[Path], object]
    door: Callable[[Path], Answer]
    wanted: Wanted = "refused"

    @property
    def id(self) -> str:
        """A name for a test."""
        return f"{self.kind}-{self.name}".replace(" ", "_")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        end: ``refused``, ``harmless``, ``traceback`` (an error of another kind), ``hang`` or ``crash``.
        text: what was said.
        seconds: of the processor, user and system.
        wall: seconds.
        peak: bytes that were taken more than before.
        effects: processes, connections and files that a payload, or the product, should not have made.
    """

    end: str
    text: str = ""
    seconds: float = 0.0
    wall: float = 0.0
    peak: int = 0
    effects: tuple[str, ...] = ()

    def faults(self, wanted: Wanted) -> list[str]:
        """What is wrong with it."""
        found = list(self.effects)
        if self.end not in ("refused", "harmless"):
            found.append(f"it ended in a {self.end}: {self.text[-2000:]}")
        elif wanted not in (self.end, "either"):
            found.append(f"it was {self.end}, not {wanted}: {self.text[-500:]}")
        if "Traceback (most recent call last)" in self.text:
            found.append(f"a traceback is shown: {self.text[-2000:]}")
        if steering := sorted({char for char in self.text if is_steering(char)}):
            found.append(f"characters that steer a terminal are shown: {steering}")
        if self.seconds > MOST_SECONDS:
            found.append(f"it took {self.seconds:.1f} s")
        if self.peak > MOST_BYTES:
            found.append(f"it took {self.peak >> 20} MiB")
        return found


MOST_SECONDS = 5.0
"""Of the processor: the same on a machine that does other work."""
MOST_COMPUTING = 8.0
"""Seconds of the processor after which a case is ended."""
MOST_IDLE = 6.0
"""Seconds for which a case may sleep: one that waits for a pipe takes none of the processor."""
MOST_BYTES = 1536 << 20
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_steering(char: str) -> bool:
    """Whether a terminal does something else than to show a character (line breaks are allowed here)."""
    return (char < " " and char != "\n") or "\x7f" <= char <= "\x9f" or char in _BIDIRECTIONAL


def payload(folder: Path) -> str:
    """A shell command that leaves the canary."""
    return f"touch '{folder / CANARY}'"


def python_payload(folder: Path) -> str:
    """A Python statement that leaves the canary."""
    return f"open({str(folder / CANARY)!r}, 'w').close()\n"


def written(file: Path, content: Any) -> Path:
    """Text or bytes in a file, whose folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return file

"""Whether a GGUF file's header fits into the file, found out before a library believes its counts.

The reader of ``gguf`` goes through as many entries as a header names, wherever the file ends: a few changed
bytes keep it busy for hours and fill the memory. Standard library only.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number, by the code of its type."""
_STRING, _ARRAY = 8, 9
_LEAST_ENTRY, _LEAST_TENSOR = 13, 24
"""Bytes of a field with an empty name, and of what is said of a tensor."""
_MOST_DIMENSIONS = 4
_MOST_NESTED = 2


class GGUFHeaderError(ValueError):
    """A header that is none, or that needs more bytes than the file has; the message says what is wrong."""


def check_header(path: Path) -> None:
    """Go through a file's header.

    Raises:
        GGUFHeaderError: it is no header of GGUF, or does not fit into the file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if path.stat().st_size < 24 or file.read(4) != _MAGIC:
            raise GGUFHeaderError("it does not begin as a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _Header(content).check()


class _Header:
    """A header, and how far it was read."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 4
        self._order = "<"

    def check(self) -> None:
        """Read all of it."""
        if self._number("I") & 0xFFFF == 0:  # written on a machine with the other order of bytes
            self._order, self._at = ">", 4
            self._number("I")
        self._at -= 4
        if (version := self._number("I")) not in _VERSIONS:
            raise GGUFHeaderError(f"its version is {version}, expected 2 or 3")
        tensors, fields = self._number("Q"), self._number("Q")
        self._check_room(fields, _LEAST_ENTRY, "fields")
        for _ in range(fields):
            self._skip_string()
            self._skip_value(self._number("I"), 0)
        self._check_room(tensors, _LEAST_TENSOR, "tensors")
        for _ in range(tensors):
            self._skip_string()
            dimensions = self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise GGUFHeaderError(f"a tensor has {dimensions} dimensions")
            self._skip(8 * dimensions + 4 + 8)

    def _number(self, form: str) -> int:
        size = struct.calcsize(form)
        start = self._at
        self._skip(size)
        number: int = struct.unpack_from(f"{self._order}{form}", self._content, start)[0]
        return number

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._content):
            raise GGUFHeaderError(f"it is cut off: its header goes on beyond its {len(self._content)} bytes")

    def _skip_string(self) -> None:
        self._skip(self._number("Q"))

    def _skip_value(self, kind: int, depth: int) -> None:
        if kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _STRING:
            self._skip_string()
        elif kind == _ARRAY and depth < _MOST_NESTED:
            inner, count = self._number("I"), self._number("Q")
            if inner in _SIZES:
                self._skip(_SIZES[inner] * count)
                return
            self._check_room(count, 8, "values of a list")
            for _ in range(count):
                self._skip_value(inner, depth + 1)
        else:
            raise GGUFHeaderError(f"a field has the type {kind}, which is none of GGUF's")

    def _check_room(self, count: int, size: int, what: str) -> None:
        """Whether so many entries can be in the rest of the file."""
        if count * size > len(self._content) - self._at:
            raise GGUFHeaderError(f"it is cut off: its header names {count} {what}")

"""Names and shapes of the tensors in a safetensors file, from its header alone. Standard library only.

The format: eight bytes with the length of the header (little-endian), the header as JSON, the numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_sway.user_error import UserError

Shapes = dict[str, tuple[int, ...]]
"""Shape of each tensor by its name."""
_PREFIX = 8
_LONGEST = 100_000_000
"""Bytes that a header may have; safetensors itself allows no more."""
_BITS = {
    **dict.fromkeys(["F4"], 4),
    **dict.fromkeys(["F6_E2M3", "F6_E3M2"], 6),
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"], 8),
    **dict.fromkeys(["I16", "U16", "F16", "BF16"], 16),
    **dict.fromkeys(["I32", "U32", "F32"], 32),
    **dict.fromkeys(["I64", "U64", "F64", "C64"], 64),
}
"""Of a number of each dtype; later versions of the format may have others."""
_LFS = b"version https://git-lfs"
_PICKLED = (b"PK", b"\x80")
"""Beginnings of the files that torch.save writes: a zip archive, or a pickle."""
_UNFINISHED = "The file is still being written, or it was copied or saved only partly"


class HeaderError(UserError):
    """A file whose header cannot be read; the message is the end of "… model.safetensors"."""


def tensor_shapes(path: Path, *, complete: bool = True) -> Shapes:
    """Shapes of all tensors of a file; the values are not read.

    Args:
        path: the file.
        complete: whether the values must follow the header; if not, a header alone is enough.

    Raises:
        HeaderError: it cannot be read, is a Git LFS pointer, is cut off, or is not a safetensors file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS))
            size = path.stat().st_size
            length = _header_length(start, size)
            file.seek(_PREFIX)
            header = file.read(length)
    except OSError as error:
        raise HeaderError(f"cannot be read: {error.strerror or error}") from error
    return _parse_header(header, size - _PREFIX - length if complete else None)


def _header_length(start: bytes, size: int) -> int:
    """Length of the header, after checks of the file's beginning and size."""
    if start.startswith(_LFS):
        raise HeaderError(
            "is a Git LFS pointer, because the weights were not downloaded. Run git lfs pull in the "
            "repository of this file"
        )
    if size <= _PREFIX:
        raise HeaderError(f"is cut off: it contains only {size} bytes. {_UNFINISHED}")
    length = int.from_bytes(start[:_PREFIX], "little")
    if length > _LONGEST or start[_PREFIX : _PREFIX + 1] != b"{":
        if start.startswith(_PICKLED):  # looked at last: a header's length may begin with the same bytes
            raise HeaderError(
                "is not a safetensors file: torch.save wrote it. Save the weights again with save_pretrained"
            )
        raise HeaderError(f"is not a safetensors file: it begins with {start!r}. Save or download it again")
    if length > size - _PREFIX:
        raise HeaderError(
            f"is cut off: its header needs {length} bytes, but the whole file has only {size}. {_UNFINISHED}"
        )
    return length


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _offsets(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, entry["data_offsets"]) for name, entry in entries.items())


def _check_parts(entries: Mapping[str, Any], shapes: Shapes, parts: Mapping[str, tuple[int, int]]) -> None:
    """Raise ValueError unless each tensor has the bytes that its shape needs, and none of another's."""
    before = 0
    for name, (begin, end) in sorted(parts.items(), key=lambda part: part[1]):
        bits = _BITS.get(entries[name]["dtype"])
        if begin != before or end < begin:
            raise ValueError
        if bits is not None and math.prod(shapes[name]) * bits != (end - begin) * 8:
            raise ValueError
        before = end


def _parse_header(header: bytes, held: int | None) -> Shapes:
    """The shapes that a header names.

    Args:
        header: its JSON.
        held: how many bytes follow it; None where that does not matter.
    """
    try:
        entries: dict[str, Any] = json.loads(header)
        entries.pop("__metadata__", None)
        shapes = {name: tuple(map(_size, entry["shape"])) for name, entry in entries.items()}
        if held is None:
            return shapes
        parts = {name: (_size(begin), _size(end)) for name, (begin, end) in _offsets(entries)}
        needed = max((end for _, end in parts.values()), default=0)
        if needed <= held:
            _check_parts(entries, shapes, parts)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise HeaderError(
            "is not a safetensors file: its header is not valid. Save or download it again"
        ) from error
    if needed > held:
        raise HeaderError(
            f"is cut off: its tensors need {needed} bytes, but only {held} are in the file. {_UNFINISHED}"
        )
    return shapes

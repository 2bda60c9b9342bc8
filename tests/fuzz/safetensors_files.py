"""Contents close to a safetensors file: headers that lie, and bytes that changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutations import changed_bytes, json_documents

_DTYPES = ["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "X9", "f32", ""]
_SIDES = st.sampled_from([0, 1, 2, 3, 64, 2**31, 2**62, 2**63, -1, 1.5, "2", True, None])
_PREFIX = 8


def header_of(content: bytes) -> dict[str, Any]:
    """The header of a sound file."""
    length = int.from_bytes(content[:_PREFIX], "little")
    header: dict[str, Any] = json.loads(content[_PREFIX : _PREFIX + length])
    return header


def _values_of(content: bytes) -> bytes:
    return content[_PREFIX + int.from_bytes(content[:_PREFIX], "little") :]


def _file(header: bytes, values: bytes, lie: int | None) -> bytes:
    length = len(header) if lie is None else lie % 2**64
    return length.to_bytes(_PREFIX, "little") + header + values


@st.composite
def _lying_header(draw: st.DrawFn, sound: Sequence[bytes]) -> bytes:
    """Shapes, offsets and dtypes that do not belong together, in a header that is well formed."""
    content = draw(st.sampled_from(list(sound)))
    header, size = header_of(content), len(_values_of(content))
    places = st.sampled_from([0, 1, 4, 512, size - 4, size, size + 4, 2**40, 2**63, -4])
    names = [name for name in header if name != "__metadata__"]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        entry = header[name]
        change = draw(st.sampled_from(["dtype", "shape", "side", "data_offsets", "end"]))
        if change == "dtype":
            entry["dtype"] = draw(st.sampled_from(_DTYPES))
        elif change == "shape":
            entry["shape"] = draw(st.lists(_SIDES, max_size=4))
        elif change == "side" and entry["shape"]:
            entry["shape"][draw(st.integers(0, len(entry["shape"]) - 1))] = draw(_SIDES)
        elif change == "data_offsets":
            entry["data_offsets"] = draw(st.lists(places, max_size=3))
        elif entry["data_offsets"]:
            entry["data_offsets"][-1] = draw(places)
    return _file(json.dumps(header).encode(), _values_of(content), None)


def safetensors_files(*sound: bytes) -> st.SearchStrategy[bytes]:
    """Changed files of ``sound`` ones."""
    headers = [header_of(content) for content in sound]
    values = st.sampled_from([*map(_values_of, sound), b"", b"\x00\x00\xc0\x7f" * 256])
    lies = st.none() | st.sampled_from([0, 1, 7, 8, 100, 10**8, 10**9, 2**63, 2**64 - 1])
    return (
        _lying_header(sound)
        | st.builds(_file, json_documents(*headers), values, lies)
        | changed_bytes(list(sound))
    )

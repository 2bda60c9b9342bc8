"""Contents close to sound ones: values exchanged, keys lost or doubled, bytes cut, repeated or flipped."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

_ODD = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400),
        *(0.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
        *("", " ", "\x00", "\x1b[31m", "\u202e", "\ufeff", "\ud800", "é", "null", "1e999"),
        *("../../etc/passwd", "/", "a" * 5000),
        *([], {}, [[]], [{}], {"": None}),
    ]
)
_PIECES = [
    *(b"\x00", b"\xff", b"\n", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b"\t", b"\x1b[2J", "\u2028".encode()),
    *(b"0x" + b"f" * 5000, b"1" * 5000, b"1e999", b"-.inf", b"NaN", b"12:30", b"2026-13-45", b"!!binary x"),
    *(b"[" * 2000, b"{" * 2000, b"- " * 2000, b"&a ", b"*a", b"<<: *a", b"? ", b"'", b'"', b"#", b"\\u0000"),
]
"""What readers of YAML and JSON stumble over."""
values = st.recursive(
    _ODD | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [at, *(place for key, item in inner for place in _places(item, (*at, key)))]


@st.composite
def changed_value(draw: st.DrawFn, sound: Sequence[Any]) -> Any:
    """One of ``sound`` with up to three of its values exchanged, removed, renamed or wrapped."""
    value = copy.deepcopy(draw(st.sampled_from(list(sound))))
    for _ in range(draw(st.integers(0, 3))):
        *above, key = draw(st.sampled_from(_places(value))) or (None,)
        if key is None:
            value = copy.deepcopy(draw(values))
            continue
        holder = value
        for step in above:
            holder = holder[step]
        change = draw(st.sampled_from(["exchange", "remove", "rename", "wrap"]))
        if change == "exchange":
            holder[key] = copy.deepcopy(draw(values))  # later changes must not reach the strategy
        elif change == "wrap":
            holder[key] = draw(st.sampled_from([[holder[key]], {"x": holder[key]}, str(holder[key])]))
        elif change == "remove" or isinstance(holder, list):
            del holder[key]
        else:
            holder[draw(st.text(max_size=8))] = holder.pop(key)
    return value


@st.composite
def changed_bytes(draw: st.DrawFn, sound: Sequence[bytes]) -> bytes:
    """One of ``sound`` with pieces cut, repeated, overwritten or inserted, or anything at all."""
    content = draw(st.sampled_from(list(sound)) | st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 64)))
        piece = draw(st.sampled_from([b"", content[start:end] * 3, *_PIECES]) | st.binary(max_size=8))
        content = content[:start] + piece + content[end:]
    return content


def write_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def write_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def documents(sound: Sequence[Any], write: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """Changed values as ``write`` writes them, and changed bytes of the sound ones."""
    return changed_value(sound).map(write) | changed_bytes([write(value) for value in sound])


def json_documents(*sound: Any) -> st.SearchStrategy[bytes]:
    return documents(sound, write_json) | _nested_json(sound)


@st.composite
def _nested_json(draw: st.DrawFn, sound: Sequence[Any]) -> bytes:
    """A value is exchanged for lists or objects in each other, as deep as a reader's stack or deeper."""
    value = copy.deepcopy(draw(st.sampled_from(list(sound))))
    *above, key = draw(st.sampled_from(_places(value))) or (None,)
    depth, opens, ends = draw(st.sampled_from(_DEPTHS)), *draw(st.sampled_from([("[", "]"), ('{"x":', "}")]))
    nested = opens * depth + "1" + ends * depth
    if key is None:
        return nested.encode()
    holder = value
    for step in above:
        holder = holder[step]
    holder[key] = _MARK
    return json.dumps(value).replace(json.dumps(_MARK), nested).encode()


_DEPTHS = (100, 300, 900, 100_000)
_MARK = "the nested value"


def yaml_documents(*sound: Any) -> st.SearchStrategy[bytes]:
    return documents(sound, write_yaml)

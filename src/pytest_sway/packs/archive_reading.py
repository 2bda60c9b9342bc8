"""Reads the archive of a pack without believing anything that it says.

The stream is decompressed up to a limit. Its blocks are read here and not by tarfile, whose reading of sparse
files, global headers and long names can be made to take any time and memory. What is not one of a pack's own
files refuses the whole archive. Nothing is written here.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_sway.packs.archive_writing import TOP
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.member_names import largest_size
from pytest_sway.regular_files import open_regular
from pytest_sway.text.message_parts import describe

MOST_BYTES = 1 << 30
"""Of all members together, unpacked."""
MOST_MEMBERS = 2000
_MOST_PAX_BYTES = 8 * 1024
_BLOCK = 512
_FILE, _FOLDER, _PAX = b"0\0", b"5", b"x"
_PAX_KEYS = frozenset({"path", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
"""Records that a header of this kind may have: of them the path alone is read."""
_PAX_RECORD = re.compile(rb"(\d{1,5}) ([^=]{1,40})=")


class _Header(NamedTuple):
    kind: bytes
    name: str
    size: int


def read_members(path: Path) -> dict[str, bytes]:
    """The contents of a pack by their names below the top folder.

    Raises:
        PackError: it cannot be read, or it holds anything that a pack has no need of.
    """
    members: dict[str, bytes] = {}
    folded: set[str] = set()
    for header, content in _entries(_decompressed(path)):
        name = _name_below_top(header)
        if header.kind == _FOLDER:
            continue
        if name.casefold() in folded:
            raise PackError(f"{name} is in the archive twice")
        folded.add(name.casefold())
        if header.size > (most := largest_size(name)):
            raise PackError(f"{name} has {header.size:,} bytes; the limit is {most:,}")
        members[name] = content
    return members


def _decompressed(path: Path) -> memoryview:
    """The tar stream, up to the limit."""
    stream = bytearray()
    try:
        with open_regular(path) as file, gzip.open(file, "rb") as packed:
            while piece := packed.read(1 << 20):
                if len(stream) + len(piece) > MOST_BYTES:
                    raise PackError(f"{path.name} unpacks to more than {MOST_BYTES >> 20} MiB")
                stream += piece
    except (OSError, EOFError, zlib.error) as error:
        raise PackError(f"{path.name} is not a readable .tar.gz file: {error}") from None
    return memoryview(bytes(stream))


def _entries(stream: memoryview) -> Iterator[tuple[_Header, bytes]]:
    """Every member with its content; a long path is read from the header before it."""
    at, count, long_name = 0, 0, ""
    while at + _BLOCK <= len(stream):
        block = bytes(stream[at : at + _BLOCK])
        if not any(block):
            return
        header = _header(block)
        begin, end = at + _BLOCK, at + _BLOCK + header.size
        if end > len(stream):
            raise PackError("the archive is truncated, or the size of a member is wrong")
        count += 1
        if count > MOST_MEMBERS:
            raise PackError(f"the archive has more than {MOST_MEMBERS} members")
        content = bytes(stream[begin:end])
        if header.kind == _PAX:
            if long_name:
                raise PackError("the archive has two extended headers for one member")
            long_name = _pax_path(header, content)
        else:
            yield header._replace(name=long_name or header.name), content
            long_name = ""
        at = begin + -(-header.size // _BLOCK) * _BLOCK
    raise PackError("the archive has no end marker")


def _header(block: bytes) -> _Header:
    """A block as a header of ustar.

    Raises:
        PackError: its checksum is wrong, or it is of another kind.
    """
    expected = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if block[257:262] != b"ustar" or _octal(block[148:156]) != expected:
        raise PackError("the archive has a header that cannot be read")
    kind, size = block[156:157], _octal(block[124:136])
    prefix, name = _text(block[345:500]), _text(block[:100])
    full = f"{prefix}/{name}" if prefix and block[257:263] == b"ustar\0" else name
    if kind in (b"0", b"\0"):
        return _Header(_FILE, full, size)
    if (kind == _FOLDER and size == 0) or kind == _PAX:
        return _Header(kind, full, size)
    raise PackError(
        f"{describe(full)} is a link, a device or another special file; a pack contains only regular files"
    )


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{0,11}", text):
        raise PackError("a header of the archive contains an invalid number")
    return int(text or b"0", 8)


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        raise PackError("the archive contains a file name that is not UTF-8") from None


def _pax_path(header: _Header, content: bytes) -> str:
    """The path of the next member, where this header has one."""
    if header.size > _MOST_PAX_BYTES:
        raise PackError("the archive has an oversized header")
    path, at = "", 0
    while at < len(content):
        found = _PAX_RECORD.match(content, at)
        length = int(found[1]) if found else 0
        if found is None or at + length > len(content) or length <= found.end() - at:
            raise PackError("the archive has a header that cannot be read")
        key, value = _text(found[2]), content[found.end() : at + length - 1]
        if key not in _PAX_KEYS:
            raise PackError(
                f"a header of the archive has the field {describe(key)}, which a pack cannot contain"
            )
        path = _text(value) if key == "path" else path
        at += length
    return path


def _name_below_top(header: _Header) -> str:
    name = header.name.rstrip("/") if header.kind == _FOLDER else header.name
    top, _, below = name.partition("/")
    if top != TOP or (not below and header.kind == _FILE):
        raise PackError(f"{describe(header.name)} is not in the folder {TOP}/")
    if header.kind == _FILE and not largest_size(below):
        raise PackError(f"{describe(header.name)} is not one of the files that a pack can contain")
    return below

"""Reads the archive of a pack without believing anything that it says.

The stream is decompressed up to a limit; every header is looked at before a member is read; what is not an
allowed file in the one top folder refuses the whole archive. Nothing is written here.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pytest_sway.packs.archive_writing import TOP
from pytest_sway.packs.errors import PackError
from pytest_sway.text.message_parts import describe

MOST_BYTES = 1 << 30
"""Of all members together, unpacked."""
MOST_MEMBERS = 2000
_MOST_HEADER = 64 * 1024
"""Of a pax or GNU header with a long name, which tarfile reads whole."""
_BLOCK = 512
_LONG_HEADERS = b"xgLK"
_PLAIN_NAME = re.compile(r"[\w][\w .@+=,-]*")
_SUFFIXES = frozenset(
    {"json", "jsonl", "safetensors", "txt", "model", "jinja", "md", "pt", "dlm", "yaml", "yml"}
)
"""Of files that a pack may hold: none is code, none is a configuration that pytest reads."""
_LONGEST_NAME = 255


def read_members(path: Path) -> dict[str, bytes]:
    """The contents of a pack by their names below the top folder.

    Raises:
        PackError: it cannot be read, or it holds anything that a pack has no need of.
    """
    stream = _decompressed(path)
    _check_headers(stream)
    stream.seek(0)
    members: dict[str, bytes] = {}
    folded: set[str] = set()
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = _checked_name(member)
                if name is None:
                    continue
                if name.casefold() in folded:
                    raise PackError(f"{name} is in the archive twice")
                if len(members) == MOST_MEMBERS:
                    raise PackError(f"the archive has more than {MOST_MEMBERS} members")
                folded.add(name.casefold())
                content = archive.extractfile(member)
                members[name] = content.read() if content is not None else b""
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise PackError(f"{path.name} is no archive that can be read: {error}") from None
    _check_no_file_is_a_folder(members)
    return members


def _decompressed(path: Path) -> io.BytesIO:
    """The tar stream, up to the limit."""
    stream = io.BytesIO()
    try:
        with gzip.open(path, "rb") as packed:
            while piece := packed.read(1 << 20):
                if stream.tell() + len(piece) > MOST_BYTES:
                    raise PackError(f"{path.name} unpacks to more than {MOST_BYTES >> 20} MiB")
                stream.write(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise PackError(f"{path.name} is no .tar.gz that can be read: {error}") from None
    return stream


def _check_headers(stream: io.BytesIO) -> None:
    """Refuse long headers of any size, and more members than a pack has."""
    size, at, count = stream.getbuffer().nbytes, 0, 0
    view = stream.getbuffer()
    try:
        while at + _BLOCK <= size:
            header = bytes(view[at : at + _BLOCK])
            if header.count(0) == _BLOCK:
                break
            length = _octal(header[124:136])
            if header[156:157] in _LONG_HEADERS and length > _MOST_HEADER:
                raise PackError("the archive has a header that is larger than any name")
            count += 1
            if count > MOST_MEMBERS * 2:  # a long name has a header of its own
                raise PackError(f"the archive has more than {MOST_MEMBERS} members")
            at += _BLOCK + -(-length // _BLOCK) * _BLOCK
    finally:
        view.release()


def _octal(field: bytes) -> int:
    if field[:1] == b"\x80":  # base 256
        return int.from_bytes(field[1:], "big")
    try:
        return max(0, int(field.strip(b" \0") or b"0", 8))
    except ValueError:
        raise PackError("the archive has a header that cannot be read") from None


def _checked_name(member: tarfile.TarInfo) -> str | None:
    """The name below the top folder; None for a folder."""
    parts = PurePosixPath(member.name).parts
    shown = describe(member.name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise PackError(f"{shown} is a link, a device or something else that is no file")
    if not parts or parts[0] != TOP or len(parts) > 4 or len(member.name) > _LONGEST_NAME:
        raise PackError(f"{shown} is not in the folder {TOP}/")
    if not all(_PLAIN_NAME.fullmatch(part) for part in parts):
        raise PackError(f"{shown} is no name that a pack uses")
    if member.isdir():
        return None
    suffix = parts[-1].rpartition(".")[2].lower()
    if len(parts) == 1 or suffix not in _SUFFIXES:
        raise PackError(f"{shown} is no file that a pack has; it has {', '.join(sorted(_SUFFIXES))}")
    return "/".join(parts[1:])


def _check_no_file_is_a_folder(members: dict[str, bytes]) -> None:
    folders = {str(above).casefold() for name in members for above in _above(name)}
    for name in members:
        if name.casefold() in folders:
            raise PackError(f"{name} is a file and a folder")


def _above(name: str) -> Iterator[PurePosixPath]:
    yield from (above for above in PurePosixPath(name).parents if above.parts)

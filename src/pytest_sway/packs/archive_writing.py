"""Writes the archive of a pack: the same bytes for the same members."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

TOP = "swaypack"
"""Folder that every member is in."""


def archive_bytes(members: Mapping[str, bytes], moment: int) -> bytes:
    """A ``.tar.gz``: members by name, owner and mode of nobody, one time for all.

    Args:
        members: contents by name below the top folder.
        moment: seconds since 1970, of every member.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(members):
            member = tarfile.TarInfo(f"{TOP}/{name}")
            member.size, member.mtime, member.mode = len(members[name]), moment, 0o644
            archive.addfile(member, io.BytesIO(members[name]))
    compressed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=compressed, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.write(packed.getvalue())
    return compressed.getvalue()

"""Opens files that somebody else may have put there: no pipe, no device, no more bytes than are wanted.

Reading a pipe waits for a writer, and ``/dev/zero`` has no end. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

MOST_CONFIG_BYTES = 128 << 20
"""Of a text file beside a model's weights; the largest tokenizer.json have about 40 MB."""
_NOT_REGULAR = "it is not a regular file, but a pipe, a device or a socket"
_READ_AT_ONCE = frozenset({
    "adapter_config.json", "added_tokens.json", "chat_template.jinja", "chat_template.json", "config.json",
    "generation_config.json", "merges.txt", "modules.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
})  # fmt: skip
"""Files of a model or an adapter that libraries read into memory; others of any size may lie beside them."""
_INDEX_ENDING = ".index.json"


def is_read_at_once(name: str) -> bool:
    """Whether libraries read a text file of that name in a model's or an adapter's folder into memory."""
    return name in _READ_AT_ONCE or name.endswith(_INDEX_ENDING)


def open_regular(path: Path, *, or_pipe: bool = False) -> BufferedReader:
    """A file for reading; links are followed.

    Args:
        path: of it.
        or_pipe: whether it may be a pipe below ``/dev``: the shell's ``<(command)``, or ``/dev/stdin``.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        kind = os.fstat(descriptor).st_mode
        if or_pipe and stat.S_ISFIFO(kind) and path.is_relative_to("/dev"):
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "rb")
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, _NOT_REGULAR, str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int = MOST_CONFIG_BYTES, *, or_pipe: bool = False) -> bytes:
    """A file's content.

    Args:
        path: links are followed.
        most: bytes that it may have.
        or_pipe: as :func:`open_regular` has it.

    Raises:
        OSError: it cannot be read, is no regular file, or has more bytes.
    """
    with open_regular(path, or_pipe=or_pipe) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise OSError(
            errno.EFBIG, f"it has {size / 1e6:,.0f} MB, and the limit is {most >> 20} MiB", str(path)
        )
    return content


def limited_lines(file: BufferedReader, path: Path, most: int = 64 << 20) -> Iterator[bytes]:
    """The lines of a file.

    Args:
        file: at its start.
        path: its name, for the message.
        most: bytes of a line.

    Raises:
        OSError: a line has more bytes.
    """
    while line := file.readline(most + 1):
        if len(line) > most:
            raise OSError(errno.EFBIG, f"a line has more than {most >> 20} MiB", str(path))
        yield line


def folder_fault(folder: Path) -> str:
    """What in a model's or an adapter's folder cannot be read safely, as a sentence; empty where all can.

    A library that reads the folder's files would wait at a pipe, and fill the memory from a device.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    for entry in entries:
        try:
            found = entry.stat()
        except OSError:  # a broken link: whoever needs the file finds it missing
            continue
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            return f"{entry.path} cannot be read: {_NOT_REGULAR}. Remove it"
        is_read = is_read_at_once(entry.name)
        if is_read and found.st_size > MOST_CONFIG_BYTES:
            size, most = f"{found.st_size / 1e6:,.0f} MB", f"{MOST_CONFIG_BYTES >> 20} MiB"
            return f"{entry.path} is too large: {size}; the limit for such a file is {most}"
    return ""

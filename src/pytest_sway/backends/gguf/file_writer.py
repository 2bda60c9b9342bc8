"""Writes one GGUF file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gguf

from pytest_sway.backends.base import BackendError


@contextmanager
def gguf_file(path: Path, architecture: str) -> Iterator[gguf.GGUFWriter]:
    """A writer; what it was given is in the file at the end.

    Raises:
        BackendError: the file cannot be written.
    """
    try:
        written = path.with_name(f".{path.name}")
        writer = gguf.GGUFWriter(written, architecture)
        try:
            yield writer
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
        written.replace(path)
    except OSError as error:
        with suppress(OSError):
            path.with_name(f".{path.name}").unlink(missing_ok=True)
        raise BackendError(f"{path} cannot be written: {error.strerror or error}") from error

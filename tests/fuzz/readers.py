"""Every reader of files that people or other programs write."""

from __future__ import annotations

from tests.fuzz import document_readers, pack_readers, spec_readers, trace_readers, training_file_readers
from tests.fuzz.reader import Reader

_GROUPS = (
    spec_readers.READERS,
    training_file_readers.READERS,
    document_readers.READERS,
    pack_readers.READERS,
    trace_readers.READERS,
)
READERS: dict[str, Reader] = {reader.name: reader for group in _GROUPS for reader in group}

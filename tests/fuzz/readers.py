"""Every reader of files that people or other programs write."""

from __future__ import annotations

from tests.fuzz import spec_readers
from tests.fuzz.reader import Reader

READERS: dict[str, Reader] = {reader.name: reader for reader in spec_readers.READERS}

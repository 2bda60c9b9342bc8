"""Every reader of files that people or other programs write."""

from __future__ import annotations

from tests.fuzz import (
    adapter_readers,
    cache_readers,
    document_readers,
    gguf_readers,
    model_readers,
    pack_readers,
    result_readers,
    server_readers,
    spec_readers,
    trace_readers,
    trainer_readers,
    training_file_readers,
    watch_readers,
)
from tests.fuzz.reader import Reader

_MODULES = (
    spec_readers,
    training_file_readers,
    document_readers,
    gguf_readers,
    model_readers,
    pack_readers,
    trace_readers,
    result_readers,
    trainer_readers,
    cache_readers,
    adapter_readers,
    server_readers,
    watch_readers,
)
READERS: dict[str, Reader] = {reader.name: reader for module in _MODULES for reader in module.READERS}

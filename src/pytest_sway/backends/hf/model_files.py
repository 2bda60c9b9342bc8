"""Where a model's files are, and the digest by which views name them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.base_model.architecture import check_causal_language_model
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.hub_cache import model_snapshot

MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""Which files make a model what it is."""


def files_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """32 hex digits over the names and bytes of the matching files."""
    total = hashlib.blake2b(digest_size=16)
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "blake2b")
        total.update(path.name.encode() + b"\0" + content.digest())
    return total.hexdigest()


def model_folder(key: ModelKey) -> Path:
    """The local folder of the model: as it is, or the hub's snapshot of its pinned revision.

    Raises:
        BackendError: there is none, its weight files are not whole by their headers, or it is no causal
            language model by its config.
    """
    path = Path(key.base)
    if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir it raises for no name
        path = model_snapshot(key.base, key.revision, trust_remote_code=key.trust_remote_code)
    check_causal_language_model(path, read_checkpoint(path).config, trust_remote_code=key.trust_remote_code)
    return path

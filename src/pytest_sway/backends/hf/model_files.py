"""Where a model's files are, and the digest by which views name them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.architecture import check_causal_language_model
from pytest_sway.backends.hf.base_model.checkpoint import MODEL_CONFIG, read_checkpoint
from pytest_sway.backends.hf.hub_cache import model_snapshot
from pytest_sway.text.message_parts import describe

MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""Which files make a model what it is."""
_GENERATION_CONFIG = "generation_config.json"


def files_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """32 hex digits over the names and bytes of the matching files."""
    total = hashlib.blake2b(digest_size=16)
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "blake2b")
        total.update(path.name.encode() + b"\0" + content.digest())
    return total.hexdigest()


def text_digest(text: str) -> str:
    """32 hex digits that stand for a text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def eos_token_ids(folder: Path) -> tuple[int, ...]:
    """Tokens that end what the model of a folder writes: those of its generation config, else of its config.

    Raises:
        BackendError: the file cannot be read, or names no ids.
    """
    own = (folder / _GENERATION_CONFIG).is_file()
    file = folder / (_GENERATION_CONFIG if own else MODEL_CONFIG)
    try:
        ids = dict(json.loads(file.read_text(encoding="utf-8"))).get("eos_token_id")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BackendError(f"{file} cannot be read: {error}") from error
    found = tuple(ids) if isinstance(ids, list) else () if ids is None else (ids,)
    if not all(type(one) is int for one in found):
        raise BackendError(
            f"{file}: eos_token_id is {describe(ids)}, but it must be an integer or a list of integers"
        )
    return found


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

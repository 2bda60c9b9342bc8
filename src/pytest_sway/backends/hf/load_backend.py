"""Finds, checks and loads a base model: safetensors only, no remote code unless the spec asks."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.architecture import check_causal_language_model
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.hf.hub_cache import model_snapshot

if TYPE_CHECKING:
    from pytest_sway.backends.hf.backend import HFBackend

HASHED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")


def load_backend(key: ModelKey, moment: datetime | None = None) -> HFBackend:
    """The base model of a spec, in memory, in its resolved dtype and device.

    Args:
        key: names it.
        moment: what chat templates print as the present; by default the time of the call.

    Raises:
        BackendError: it cannot be served truthfully.
    """
    try:
        import peft  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        raise BackendError(
            f"kind: hf needs {error.name}; install it with: pip install 'pytest-sway[hf]'"
        ) from error
    from pytest_sway.backends.hf.backend import HFBackend
    from pytest_sway.backends.hf.base_model.base_model import BaseModel
    from pytest_sway.backends.hf.base_model.pretrained import load_pretrained
    from pytest_sway.backends.hf.device.determinism import set_cublas_workspace
    from pytest_sway.backends.hf.device.placement import placement, resolve_dtype
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import (
        digest_with_settings,
        read_template_settings,
    )

    path = folder(key)
    place = placement(torch, key.device)
    set_cublas_workspace(place.device)
    dtype = resolve_dtype(torch, key.dtype, place.device)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=key.trust_remote_code)
    except Exception as error:
        raise BackendError(
            f"the tokenizer of the base model {key.base} cannot be loaded: {error_line(error)}"
        ) from error
    try:
        found = load_pretrained(path, dtype, trust_remote_code=key.trust_remote_code)
    except BackendError as error:
        raise BackendError(f"the base model cannot be loaded: {error}") from error
    model = found.model
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=model.generation_config.bos_token_id,
        eos_token_id=model.generation_config.eos_token_id or tokenizer.eos_token_id,
        pad_token_id=0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    )
    try:
        tokens = PromptTokenizer(tokenizer, read_template_settings(key, tokenizer, moment))
        base = BaseModel(
            digest_with_settings(digest(path, HASHED), tokens.chat.settings),
            name=key.base,
            revision=key.revision,
            checkpoint=found.checkpoint,
            trust_remote_code=key.trust_remote_code,
            notes=found.notes,
        )
        return HFBackend(place.put(model).eval(), tokens, base)
    except (OSError, RuntimeError) as error:
        raise BackendError(f"the base model {key.base} cannot be served: {error_line(error)}") from error


def digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """32 hex digits over the names and bytes of the matching files."""
    total = hashlib.blake2b(digest_size=16)
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "blake2b")
        total.update(path.name.encode() + b"\0" + content.digest())
    return total.hexdigest()


def folder(key: ModelKey) -> Path:
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

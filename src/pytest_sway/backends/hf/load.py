"""Finds, checks and loads a base model: safetensors only, no remote code unless the spec asks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.backends.protocols import BackendError, ModelKey
from pytest_sway.backends.quiet import without_bars

if TYPE_CHECKING:
    from pytest_sway.backends.hf.model import HFBackend

_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
HASHED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")


def load(key: ModelKey) -> HFBackend:
    """The base model of a spec, in memory, in its resolved dtype and device."""
    try:
        import peft  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        raise BackendError(
            f"kind: hf needs {error.name}; install it with: pip install 'pytest-sway[hf]'"
        ) from error
    from pytest_sway.backends.hf.device import prepare
    from pytest_sway.backends.hf.model import HFBackend
    from pytest_sway.backends.hf.placement import dtype_of, placement
    from pytest_sway.backends.hf.tokens import Tokens

    path = folder(key)
    place = placement(torch, key.device)
    prepare(place.device)
    dtype = dtype_of(torch, key.dtype, place.device)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=key.trust_remote_code)
        model = causal_lm(path, dtype, key.trust_remote_code)
    except Exception as error:
        raise BackendError(f"the base model {key.base} cannot be loaded: {line(error)}") from error
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=model.generation_config.bos_token_id,
        eos_token_id=model.generation_config.eos_token_id or tokenizer.eos_token_id,
        pad_token_id=0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    )
    try:
        return HFBackend(place.put(model).eval(), Tokens(tokenizer), digest(path, HASHED))
    except (OSError, RuntimeError) as error:
        raise BackendError(f"the base model {key.base} cannot be served: {line(error)}") from error


def causal_lm(path: Path, dtype: Any, trust_remote_code: bool = False) -> Any:
    """A model's weights on the CPU, from safetensors alone, without progress bars."""
    import transformers

    with without_bars():
        return transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code
        )


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
    """The local folder of the model: as it is, or the hub's snapshot of its pinned revision."""
    path = Path(key.base)
    if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir it raises for no name
        path = _snapshot(key)
    if not (path / "config.json").is_file():
        raise BackendError(f"{path} is not a model folder: it holds no config.json")
    if not any(path.glob("*.safetensors")):
        raise BackendError(
            f"{path} holds no *.safetensors; pickled weights are never loaded: save the model again "
            "with save_pretrained(..., safe_serialization=True)"
        )
    return path


def _snapshot(key: ModelKey) -> Path:
    from huggingface_hub import snapshot_download

    wanted = [*_WANTED, "*.py"] if key.trust_remote_code else _WANTED
    try:
        found = snapshot_download(key.base, revision=key.revision, allow_patterns=wanted)
    except Exception as error:
        revision = f" at revision {key.revision}" if key.revision else ""
        raise BackendError(
            f"models.ft.base: {key.base!r} is no folder here, and the hub did not give it{revision}: "
            f"{line(error)}"
        ) from error
    return Path(found)


def line(error: BaseException) -> str:
    """The first line of an error, with its type where the text says little."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"

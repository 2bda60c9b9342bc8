"""Loads a base model: safetensors only, no remote code unless the spec asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.error_text import error_line, missing_package
from pytest_sway.backends.hf.model_files import MODEL_FILES, model_folder, text_digest
from pytest_sway.backends.hf.peft_import import import_peft
from pytest_sway.backends.hf.unchanged_files import UnchangedFiles

if TYPE_CHECKING:
    from pytest_sway.backends.hf.backend import HFBackend


def load_backend(key: ModelKey, moment: datetime | None = None) -> HFBackend:
    """The base model of a spec, in memory, in its resolved dtype and device.

    Args:
        key: names it.
        moment: what chat templates print as the present; by default the time of the call.

    Raises:
        BackendError: it cannot be served truthfully.
    """
    try:
        import torch
        import transformers  # noqa: F401 - both are needed, and one may be missing

        import_peft()
    except ImportError as error:
        raise BackendError(missing_package("kind: hf", error, "hf")) from error
    from pytest_sway.backends.hf.backend import HFBackend
    from pytest_sway.backends.hf.base_model.base_model import BaseModel
    from pytest_sway.backends.hf.base_model.generation_config import evaluation_config
    from pytest_sway.backends.hf.base_model.pretrained import load_pretrained
    from pytest_sway.backends.hf.device.determinism import set_cublas_workspace
    from pytest_sway.backends.hf.device.placement import placement, resolve_dtype
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import (
        digest_with_settings,
        read_template_settings,
    )
    from pytest_sway.backends.hf.prompts.vocabulary import load_tokenizer

    path = model_folder(key)
    files = UnchangedFiles(path, MODEL_FILES)
    place = placement(torch, key.device)
    set_cublas_workspace(place.device)
    dtype = resolve_dtype(torch, key.dtype, place.device)
    tokenizer = load_tokenizer(key, path)
    try:
        found = load_pretrained(
            path,
            dtype,
            trust_remote_code=key.trust_remote_code,
            quantization=key.quantization,
            device=place.device,
        )
    except BackendError as error:
        raise BackendError(f"the base model cannot be loaded: {error}") from error
    model = found.model
    model.generation_config = evaluation_config(model, tokenizer)
    try:
        tokens = PromptTokenizer(tokenizer, read_template_settings(key, tokenizer, moment))
        digest = files.digest()
        if found.quantization is not None and not found.quantization.is_stored:
            digest = text_digest(f"{digest}:{found.quantization.name}")
        base = BaseModel(
            digest_with_settings(digest, tokens.chat.settings),
            name=key.base,
            revision=key.revision,
            checkpoint=found.checkpoint,
            trust_remote_code=key.trust_remote_code,
            notes=found.notes,
            quantization=found.quantization.name if found.quantization is not None else None,
        )
        if found.quantization is None:
            model = place.put(model)
        elif place.spread:
            raise BackendError(
                "models.ft.device: balanced does not support a quantized base model; use device: auto"
            )
        return HFBackend(model.eval(), tokens, base)
    except (OSError, RuntimeError) as error:
        raise BackendError(f"the base model {key.base} cannot be loaded: {error_line(error)}") from error

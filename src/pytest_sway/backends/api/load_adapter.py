"""Loads an adapter's folder on a server that adds LoRA while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from pytest_sway.backends.api.adapter_directory import AdapterDirectory, default_directory
from pytest_sway.backends.api.base_identity import remarks_on
from pytest_sway.backends.api.loaded_adapters import LoadedAdapters
from pytest_sway.backends.api.lora_source import read_source
from pytest_sway.backends.api.served_subject import ServedBase
from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, Subject
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import MODEL_CONFIG
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer, digest_with_tokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import check_template_arguments
from pytest_sway.backends.hf.prompts.vocabulary import shared_vocabulary
from pytest_sway.backends.hf.subject_files import find_subject_files, subject_notes
from pytest_sway.backends.zero_updates import zero_update_notes
from pytest_sway.requests import View


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter that is being served, and the tokenizer of both sides."""

    served: LoadedAdapters
    tokens: PromptTokenizer


def load_adapter(
    key: ModelKey,
    adapter: AdapterKey,
    base: ServedBase,
    tokens: PromptTokenizer,
    folder: Path,
    digest: str,
) -> LoadedAdapter:
    """Check an adapter's folder and load it.

    Args:
        key: the model, as the spec names it.
        adapter: its folder.
        base: the base on its server.
        tokens: the base's tokenizer.
        folder: with the base's config.
        digest: of the base.

    Raises:
        BackendError: it cannot be served truthfully.
    """
    source = find_subject_files(adapter)
    vocabulary = shared_vocabulary(tokens, source.tokenizer, _rows(base, tokens))
    check_template_arguments(vocabulary.tokens.chat)
    config = _base_config(folder)
    lora = read_source(source, config, base.facts.root, key.dtype)
    source.check_unchanged()
    view = View(digest_with_tokenizer(digest, tokens, vocabulary.tokens), source.digest)
    found = subject_notes(source, BaseModel(digest, name=base.facts.root))
    remarks = remarks_on(key, base)
    zero = lora.unchanged
    subject = Subject(
        base=View(view.base),
        tuned=view,
        inert=len(zero) == len(lora.modules),
        notes=(
            *remarks.notes,
            *zero_update_notes(zero, len(lora.modules)),
            *source.notes,
            *vocabulary.notes,
            *found.notes,
        ),
        warnings=(*found.warnings, *remarks.warnings),
    )
    served = LoadedAdapters(base, lora, subject, config, _directory(key, base), key.dtype)
    return LoadedAdapter(served, vocabulary.tokens)


def _rows(base: ServedBase, tokens: PromptTokenizer) -> int:
    """Rows of the base's embedding; the tokenizer's where the server does not give whole distributions."""
    return base.facts.vocabulary or len(tokens.tokenizer)


def _base_config(folder: Path) -> Any:
    if not (folder / MODEL_CONFIG).is_file():
        raise BackendError(
            f"{folder} contains no {MODEL_CONFIG}, which is needed to check an adapter before the server "
            "loads it. Set models.ft.tokenizer to a folder with the tokenizer and config of the base model"
        )
    try:
        return AutoConfig.from_pretrained(folder)
    except Exception as error:
        raise BackendError(f"{folder / MODEL_CONFIG} cannot be read: {error_line(error)}") from error


def _directory(key: ModelKey, base: ServedBase) -> AdapterDirectory:
    """Where adapters are written for the server."""
    session = base.name.client.session
    if key.null_dir is not None:
        path = Path(key.null_dir).absolute()
        return AdapterDirectory(path, key.null_dir_server or str(path), session.url)
    if not session.endpoint.is_on_this_machine:
        raise BackendError(
            f"the server at {session.url} is on another machine. Set models.ft.null_dir to a folder that "
            "both machines can access, and models.ft.null_dir_server to the path of this folder on the server"
        )
    path = default_directory()
    return AdapterDirectory(path, str(path), session.url)

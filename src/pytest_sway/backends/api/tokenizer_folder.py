"""The tokenizer of a served model: from a folder, or from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.base_model.checkpoint import MODEL_CONFIG
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.hf.hub_cache import tokenizer_files
from pytest_sway.backends.hf.model_files import eos_token_ids
from pytest_sway.backends.hf.prompts.tokenizer_rules import checked_tokenizer
from pytest_sway.regular_files import folder_fault
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import is_folder


def find_tokenizer_folder(key: ModelKey, root: str | None) -> Path:
    """The folder that the spec names as ``tokenizer``; else the base itself, or where it was loaded from.

    Args:
        key: the model, as the spec names it.
        root: what the server says that it loaded the base from.

    Raises:
        BackendError: none of them is a folder here or a model on the hub.
    """
    names = [key.tokenizer] if key.tokenizer else [name for name in (key.base, root) if name]
    for name in names:
        if is_folder(Path(name)):
            return Path(name)
    failures = []
    for name in names:
        if HubName.of(name) is not None:
            try:
                return tokenizer_files(name)
            except BackendError as error:
                failures.append(str(error))
    raise BackendError(
        f"prompts are tokenized locally, but no tokenizer was found for {key.base!r}. Set "
        "models.ft.tokenizer to the model's folder or to its name on the "
        f"Hub{''.join(f' ({failure})' for failure in failures)}"
    )


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder; its own code is not run.

    Raises:
        BackendError: it cannot be read.
    """
    if fault := folder_fault(folder):
        raise BackendError(fault)
    try:
        return checked_tokenizer(AutoTokenizer.from_pretrained(folder))
    except Exception as error:
        raise BackendError(f"the tokenizer in {folder} cannot be loaded: {error_line(error)}") from error


def ends_of(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end what the model writes."""
    own = eos_token_ids(folder) if (folder / MODEL_CONFIG).is_file() else ()
    end = tokenizer.eos_token_id
    return own or (() if end is None else (end,))

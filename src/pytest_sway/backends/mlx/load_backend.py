"""Loads the backend of ``kind: mlx``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.error_text import missing_package

if TYPE_CHECKING:
    from pytest_sway.backends.mlx.backend import MLXBackend


def load_backend(key: ModelKey, moment: datetime | None = None) -> MLXBackend:
    """The base model of a spec, in memory, in its resolved dtype.

    Args:
        key: names a model folder, or a model on the hub.
        moment: what chat templates print as the present; by default the time of the call.

    Raises:
        BackendError: it cannot be served truthfully.
    """
    try:
        import mlx.core  # noqa: F401
        import mlx_lm  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise BackendError(missing_package("kind: mlx", error, "mlx")) from error
    from pytest_sway.backends.hf.model_files import MODEL_FILES, eos_token_ids, model_folder
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import (
        digest_with_settings,
        read_template_settings,
    )
    from pytest_sway.backends.hf.prompts.vocabulary import load_tokenizer
    from pytest_sway.backends.hf.unchanged_files import UnchangedFiles
    from pytest_sway.backends.mlx.backend import MLXBackend
    from pytest_sway.backends.mlx.base_model import load_base_model

    folder = model_folder(key)
    files = UnchangedFiles(folder, MODEL_FILES)
    tokenizer = load_tokenizer(key, folder)
    tokens = PromptTokenizer(tokenizer, read_template_settings(key, tokenizer, moment))
    digest = digest_with_settings(files.digest(), tokens.chat.settings)
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    base = load_base_model(key, folder, digest)
    files.check()
    return MLXBackend(base, tokens, frozenset(eos_token_ids(folder) or own))

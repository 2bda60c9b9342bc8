"""Loads the backend of ``kind: gguf``."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.atomic_files import ScratchFolder
from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.error_text import missing_package
from pytest_sway.backends.hf.peft_import import import_peft
from pytest_sway.spec.model_kinds import is_gguf_name
from pytest_sway.thread_limits import core_share, count_is_set, usable_cores

if TYPE_CHECKING:
    from pytest_sway.backends.gguf.backend import GGUFBackend
    from pytest_sway.backends.gguf.running_server import RunningServerBackend

_CONNECTIONS = 8


def load_backend(key: ModelKey, moment: datetime | None = None) -> GGUFBackend | RunningServerBackend:
    """The base model of a spec on a llama.cpp server: one of our own, or the one at its endpoint.

    Args:
        key: names a ``.gguf`` file, a model folder, or a model on the hub.
        moment: what chat templates print as the present; by default the time of the call.

    Raises:
        BackendError: it cannot be served truthfully.
    """
    try:
        import gguf  # noqa: F401
        import httpx  # noqa: F401
        import msgspec  # noqa: F401
        import torch
        import xllamacpp  # noqa: F401

        import_peft()
    except ImportError as error:
        raise BackendError(missing_package("kind: gguf", error, "gguf")) from error
    from pytest_sway.backends.gguf.backend import GGUFBackend
    from pytest_sway.backends.gguf.base_file import open_base
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import read_template_settings

    _check_fields(key)
    if key.endpoint:
        return _on_running_server(key, moment)
    folder = ScratchFolder("sway-gguf-")
    try:
        base = open_base(key, Path(folder.name))
        tokens = PromptTokenizer(base.tokenizer, read_template_settings(key, base.tokenizer, moment))
        return GGUFBackend(base, tokens, folder, _thread_count(torch.get_num_threads()))
    except BaseException:
        folder.cleanup()
        raise


def _on_running_server(key: ModelKey, moment: datetime | None) -> RunningServerBackend:
    from pytest_sway.backends.api.endpoints import endpoint_of
    from pytest_sway.backends.gguf.base_file import open_base
    from pytest_sway.backends.gguf.client import LlamaClient
    from pytest_sway.backends.gguf.running_server import RunningServerBackend
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import read_template_settings

    if not is_gguf_name(key.base):
        raise BackendError(
            "with kind: gguf and an endpoint, models.ft.base must be the GGUF file that the server was "
            "started with; "
            f"found {key.base}"
        )
    endpoint = endpoint_of(key.endpoint, key.api_key, "models.ft.endpoint")
    base = open_base(key, Path())
    tokens = PromptTokenizer(base.tokenizer, read_template_settings(key, base.tokenizer, moment))
    client = LlamaClient(endpoint.url, base.config.vocab_size, _CONNECTIONS, endpoint.api_key)
    try:
        return RunningServerBackend(base, tokens, client)
    except BaseException:
        client.close()
        raise


def _thread_count(allowed: int) -> int:
    """Threads of the server: as many as the environment says, else this process's share of the cores."""
    if count_is_set(os.environ):
        return allowed
    return min(allowed, core_share(os.environ, usable_cores()))


def _check_fields(key: ModelKey) -> None:
    """Raise BackendError for what this kind cannot do."""
    if key.dtype not in ("auto", "fp32"):
        raise BackendError(
            f"models.ft.dtype: {key.dtype} is not supported by kind: gguf, which computes in fp32; remove "
            "the field"
        )
    if key.device not in ("auto", "cpu"):
        raise BackendError(
            f"models.ft.device: {key.device} is not supported by kind: gguf, which runs on the CPU; "
            "remove the field"
        )
    if key.trust_remote_code:
        raise BackendError(
            "models.ft.trust_remote_code is not supported by kind: gguf, which does not run model code; "
            "remove the field"
        )

"""The backend that answers from the memory of a training run."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch

from pytest_sway.backends.base import Backend, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.generation_config import evaluation_config
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import (
    digest_with_settings,
    read_template_settings,
)


def weights_digest(base: Any) -> str:
    """A digest of a model's weights as they are in memory, and of its config."""
    digest = hashlib.blake2b(base.config.to_json_string().encode(), digest_size=16)
    for name, tensor in base.state_dict().items():
        content = tensor.detach().contiguous().cpu().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(content.view(torch.uint8).numpy())
    return digest.hexdigest()


class ModelInTraining:
    """A plugin that serves the base of a training run in the place of the spec's own.

    Args:
        base: without its adapter.
        tokenizer: of the run.
        digest: of the base's weights.
    """

    def __init__(self, base: Any, tokenizer: Any, digest: str) -> None:
        self._base = base
        self._tokenizer = tokenizer
        self._digest = digest

    @pytest.hookimpl(tryfirst=True)
    def pytest_sway_backend(self, config: pytest.Config, model: ModelKey) -> Backend:
        """The run's own model, whatever the spec calls it."""
        base, tokenizer = self._base, self._tokenizer
        base.generation_config = evaluation_config(base, tokenizer)
        tokens = PromptTokenizer(tokenizer, read_template_settings(model, tokenizer, None))
        digest = digest_with_settings(self._digest, tokens.chat.settings)
        return HFBackend(base, tokens, BaseModel(digest, name=model.base))

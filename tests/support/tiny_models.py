"""Random tiny models with the quickstart's tokenizer, saved as a user's base."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.paths import QUICKSTART

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}


def random_base(folder: Path, kind: Any, config: Any) -> Any:
    """A model of ``kind`` whose answers depend on every weight, saved in ``folder``."""
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    tokenizer_to(folder)
    return model


def tokenizer_to(folder: Path) -> None:
    """The quickstart's tokenizer into a folder."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(QUICKSTART / "base" / name, folder / name)


def backend_of(folder: Path, **options: Any) -> HFBackend:
    """The backend on a base in fp32 on the CPU."""
    return load_backend(ModelKey("hf", str(folder), dtype="fp32", device="cpu", **options))

"""Model folders of a tiny random Llama with the quickstart's tokenizer, whole and broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tests.support.paths import QUICKSTART

BASE = QUICKSTART / "base"
TINY = {
    "vocab_size": 4096,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
State = dict[str, torch.Tensor]


def saved(folder: Path, model: PreTrainedModel) -> Path:
    """A model's folder, with a tokenizer."""
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(BASE / name, folder / name)
    return folder


def llama(folder: Path, *, tied: bool = False, seed: int = 0) -> Path:
    """The folder of a random Llama of two layers."""
    torch.manual_seed(seed)
    return saved(folder, LlamaForCausalLM(LlamaConfig(**TINY, tie_word_embeddings=tied)))


def tensors(change: Callable[[State], State]) -> Callable[[Path], None]:
    """Rewrites a folder's tensors."""

    def apply(folder: Path) -> None:
        file = folder / "model.safetensors"
        state = {name: tensor.clone().contiguous() for name, tensor in change(load_file(file)).items()}
        save_file(state, file, metadata={"format": "pt"})

    return apply


def renamed(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Gives every tensor another name."""
    return tensors(lambda state: {change(name): tensor for name, tensor in state.items()})


def without(*parts: str) -> Callable[[Path], None]:
    """Loses the tensors that have one of these in their names."""
    return tensors(lambda s: {name: t for name, t in s.items() if not any(part in name for part in parts)})


def changed(change: Callable[[torch.Tensor], torch.Tensor], *parts: str) -> Callable[[Path], None]:
    """Changes the tensors that have one of these in their names."""
    return tensors(lambda s: {n: change(t) if any(part in n for part in parts) else t for n, t in s.items()})


def config(**values: Any) -> Callable[[Path], None]:
    """Changes lines of config.json."""

    def apply(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return apply


def text(name: str, content: str) -> Callable[[Path], None]:
    """Writes a file."""
    return lambda folder: (folder / name).write_text(content) and None


def moved(name: str, to: str) -> Callable[[Path], None]:
    """Renames a file."""
    return lambda folder: (folder / name).rename(folder / to) and None

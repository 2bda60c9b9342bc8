"""Adapters of a few bytes, written piece by piece as training does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save

CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "base"}
_MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


def weights(seed: int) -> bytes:
    """A safetensors file with one module of rank 2."""
    draw = np.random.default_rng(seed)
    factors = {
        f"{_MODULE}.lora_{name}.weight": draw.normal(size=shape).astype(np.float32)
        for name, shape in (("A", (2, 64)), ("B", (64, 2)))
    }
    return save(factors)


def pieces(folder: Path, seed: int, *, trainer: bool = False) -> Iterator[str]:
    """Write an adapter, a piece for each item: weights in three parts, the config in two, what follows.

    Args:
        folder: may hold an older adapter.
        seed: of the weights.
        trainer: whether a Trainer writes, whose last file is trainer_state.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield "an empty folder"
    content = weights(seed)
    third = len(content) // 3
    with (folder / "adapter_model.safetensors").open("wb") as file:
        for part in (content[:7], content[7:third], content[third:]):
            file.write(part)
            file.flush()
            yield "a part of the weights"
    text = json.dumps(CONFIG, indent=2)
    config = folder / "adapter_config.json"
    config.write_text(text[: len(text) // 2])
    yield "half of the config"
    config.write_text(text)
    if trainer:
        yield "a config without the trainer's state"
        (folder / "optimizer.pt").write_bytes(b"x" * 100)
        (folder / "trainer_state.json").write_text('{"global_step"')
        yield "half of the trainer's state"
        (folder / "trainer_state.json").write_text('{"global_step": 1}')


def write_adapter(folder: Path, seed: int, *, trainer: bool = False) -> Path:
    """The same at once."""
    for _ in pieces(folder, seed, trainer=trainer):
        pass
    return folder

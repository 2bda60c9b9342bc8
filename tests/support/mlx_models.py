"""Models and adapters in the formats of mlx-lm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model, quantize_model, save_config, save_model

from pytest_sway.backends.mlx.adapter_layers import dense_weight
from tests.support.peft_adapters import BASE
from tests.support.tiny_models import tokenizer_to


def quantized_base(folder: Path, *, bits: int = 4, source: Path = BASE) -> Path:
    """The quickstart's base as mlx_lm.convert quantizes it."""
    model, config = load_model(source)
    model, config = quantize_model(model, config, group_size=32, bits=bits)
    save_model(folder, model)
    save_config(config, folder / "config.json")
    tokenizer_to(folder)
    return folder


def with_dequantized_weights(model: Any, folder: Path) -> Any:
    """A model of transformers with the numbers of a base that mlx-lm quantized."""
    quantized, _ = load_model(folder)
    quantized.set_dtype(mx.float32)
    for name, module in quantized.named_modules():
        if hasattr(module, "bits"):
            weight = np.array(dense_weight(module).astype(mx.float32))
            model.get_submodule(name).weight.data = torch.from_numpy(weight.copy())
    return model


def save_mlx_adapter(
    folder: Path,
    *,
    kind: str = "lora",
    keys: list[str],
    rank: int = 4,
    scale: float = 2.0,
    layers: int = 4,
    base: Path = BASE,
) -> Path:
    """An adapter as the trainer of mlx-lm saves it, every number of it moved."""
    from mlx_lm.tuner.utils import linear_to_lora_layers

    model, _ = load_model(base)
    parameters = {"rank": rank, "scale": scale, "dropout": 0.0, "keys": keys}
    model.freeze()
    mx.random.seed(0)
    linear_to_lora_layers(model, layers, parameters, use_dora=kind == "dora")
    own = dict(tree_flatten(model.trainable_parameters()))
    folder.mkdir(parents=True, exist_ok=True)
    moved = {name: one + 0.05 * mx.random.normal(one.shape) for name, one in own.items()}
    mx.save_safetensors(str(folder / "adapters.safetensors"), moved)
    config = {"fine_tune_type": kind, "num_layers": layers, "lora_parameters": parameters, "model": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return folder


def reference_logits(folder: Path | None, rows: list[list[int]], base: Path = BASE) -> list[mx.array]:
    """What mlx-lm's own loader and forward say, an adapter applied by mlx-lm itself."""
    from mlx_lm.tuner.utils import load_adapters

    model, _ = load_model(base)
    model.set_dtype(mx.float32)
    if folder is not None:
        model = load_adapters(model, str(folder))
    model.eval()
    logits = [model(mx.array([row]))[0].astype(mx.float32) for row in rows]
    return [one - mx.logsumexp(one, axis=-1, keepdims=True) for one in logits]


def copied_base(folder: Path) -> Path:
    """A folder with a copy of the quickstart's base."""
    shutil.copytree(BASE, folder)
    return folder

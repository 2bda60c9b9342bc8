"""Reads the LoRA factors of a GGUF adapter, as llama.cpp's converter writes one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.header_check import check_header
from pytest_sway.backends.gguf.tensor_layout import TensorLayout
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import LoraModule, check_finite
from pytest_sway.backends.hf.error_text import error_line

_LETTERS = ("a", "b")


@dataclass(frozen=True)
class GGUFAdapter:
    """An adapter in one file.

    Attributes:
        path: of the file.
        digest: of its bytes.
        modules: the factors, by the module's name in transformers.
    """

    path: Path
    digest: str
    modules: Mapping[str, LoraModule]


def read_adapter(path: Path, layout: TensorLayout, config: Any) -> GGUFAdapter:
    """The adapter in a file.

    Args:
        path: of the file.
        layout: of the base.
        config: of the base, of transformers.

    Raises:
        BackendError: it cannot be read, is no LoRA, or does not fit the base.
    """
    try:
        check_header(path)
        reader = gguf.GGUFReader(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except Exception as error:
        raise BackendError(f"models.ft.adapter: {path} cannot be read: {error_line(error)}") from error
    kind, adapter = (_text(path, reader, key) for key in (gguf.Keys.General.TYPE, gguf.Keys.Adapter.TYPE))
    if (kind, adapter) != ("adapter", "lora"):
        raise BackendError(
            f"models.ft.adapter: {path} is not a LoRA adapter: its general.type is {kind or 'missing'} and "
            f"its adapter.type is {adapter or 'missing'}"
        )
    architecture = _text(path, reader, gguf.Keys.General.ARCHITECTURE)
    if architecture != layout.name:
        raise BackendError(
            f"{path} is an adapter for a {architecture} model, but the base model is a {layout.name} model"
        )
    modules = _modules(path, reader, layout, config, _alpha(path, reader))
    check_finite(str(path), modules)
    return GGUFAdapter(path, digest, modules)


def _text(path: Path, reader: gguf.GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    try:
        return str(field.contents()) if field is not None else ""
    except UnicodeDecodeError:
        raise BackendError(f"models.ft.adapter: {path} cannot be read: its {key} is not UTF-8") from None


def _alpha(path: Path, reader: gguf.GGUFReader) -> float:
    field = reader.get_field(gguf.Keys.Adapter.LORA_ALPHA)
    value = 0.0 if field is None else field.contents()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BackendError(f"models.ft.adapter: {path} cannot be read: its adapter.lora.alpha is no number")
    return float(value)


def _modules(
    path: Path, reader: gguf.GGUFReader, layout: TensorLayout, config: Any, alpha: float
) -> dict[str, LoraModule]:
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    modules: dict[str, LoraModule] = {}
    for name, shape in _linear_layers(config).items():
        place = layout.tensor_name(name)
        found = [tensors.pop(f"{place}.weight.lora_{letter}", None) for letter in _LETTERS]
        if found == [None, None]:
            continue
        a, b = (None if one is None else gguf.quants.dequantize(one.data, one.tensor_type) for one in found)
        if a is None or b is None or (b.shape[0], a.shape[1]) != shape or a.shape[0] != b.shape[1]:
            shapes = [None if one is None else one.shape for one in (a, b)]
            raise BackendError(
                f"{path} does not fit the base model: for {place}, whose weight has the shape {shape}, "
                f"lora_a and lora_b have the shapes {shapes[0]} and {shapes[1]}"
            )
        modules[name] = LoraModule(
            torch.tensor(a, dtype=torch.float32),
            torch.tensor(_transformers_order(layout, name, b), dtype=torch.float32),
            alpha / a.shape[0] if alpha else 1.0,
        )
    if tensors or not modules:
        first = min(tensors, default="none of the model's linear layers")
        raise BackendError(
            f"{path} changes {first}, but llama.cpp applies LoRA only to the linear layers of the "
            "transformer blocks"
        )
    return modules


def _transformers_order(layout: TensorLayout, name: str, b: np.ndarray) -> np.ndarray:
    """The rows of B in the order that transformers has them in."""
    rows = np.empty_like(b)
    rows[layout.ordered(name, np.arange(len(b)))] = b
    return rows


def _linear_layers(config: Any) -> dict[str, tuple[int, int]]:
    """Output and input width of every linear layer but the head."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {
        name: (layer.out_features, layer.in_features)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and name != "lm_head"
    }

"""Reads and writes adapter folders of mlx-lm: LoRA and DoRA."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from pytest_sway.backends.mlx.adapter_content import (
    AdapterContent,
    ConversionError,
    LoraUpdate,
    Updates,
    read_safetensors,
)
from pytest_sway.safetensors_header import HeaderError, tensor_shapes
from pytest_sway.spec.adapter_file_checks import AdapterFilesError, check_mlx_config
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, MLX_WEIGHTS

_FACTORS = {"lora_a": "a", "lora_b": "b", "m": "magnitude"}
_LAYER = re.compile(r"(.*\.)?layers\.(\d+)\.(.+)")


def read_mlx_folder(folder: Path) -> AdapterContent:
    """The LoRA or DoRA adapter of a folder.

    Raises:
        ConversionError: it cannot be read, or holds whole weights.
    """
    config = _checked_config(folder)
    weights = folder / MLX_WEIGHTS
    try:
        tensor_shapes(weights)
    except HeaderError as error:
        raise ConversionError(f"{weights} {error}") from error
    parts: dict[str, dict[str, mx.array]] = defaultdict(dict)
    for key, tensor in read_safetensors(weights).items():
        module, _, factor = key.rpartition(".")
        if factor not in _FACTORS:
            raise ConversionError(
                f"{weights} contains {key}, which is not part of LoRA or DoRA; expected lora_a, lora_b or m"
            )
        parts[module][_FACTORS[factor]] = tensor
    if not parts:
        raise ConversionError(f"{weights} contains no tensors; the training saved nothing")
    updates = {name: _update(folder, config, name, found) for name, found in parts.items()}
    content = AdapterContent(folder, updates, config, changes_tied_head=True)
    content.check_finite()
    return content


def write_mlx_folder(content: AdapterContent, folder: Path) -> None:
    """Write an adapter as mlx-lm's trainer does.

    mlx-lm has one rank and one scale for all modules: factors of a lower rank get columns of zeros, and what
    a module's scaling differs by goes into its B.

    Args:
        content: what it changes.
        folder: an empty one.
    """
    rank = max(update.rank for update in content.updates.values())
    scale = content.commonest_scaling
    tensors: dict[str, mx.array] = {}
    for name, update in content.updates.items():
        a, b = _padded(update, rank)
        if update.scaling != scale:
            b = b.astype(mx.float32) * (update.scaling / scale)
        if not update.has_experts:
            a, b = a.T, b.T
        tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"] = mx.contiguous(a), mx.contiguous(b)
        if update.magnitude is not None:
            tensors[f"{name}.m"] = update.magnitude
    keys, layers = _keys(content.updates)
    config = {
        "fine_tune_type": "dora" if content.is_dora else "lora",
        "model": content.config.get("base_model_name_or_path"),
        "num_layers": layers,
        "lora_parameters": {"rank": rank, "scale": scale, "dropout": 0.0, "keys": keys},
    }
    mx.save_safetensors(str(folder / MLX_WEIGHTS), tensors, {"format": "mlx"})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _padded(update: LoraUpdate, rank: int) -> tuple[mx.array, mx.array]:
    """A and B with zeros up to a rank."""
    more = rank - update.rank
    around = [(0, 0)] if update.has_experts else []
    a = mx.pad(update.a, [*around, (0, more), (0, 0)]) if more else update.a
    return a, mx.pad(update.b, [*around, (0, 0), (0, more)]) if more else update.b


def _keys(updates: Updates) -> tuple[list[str], int]:
    """``keys`` and ``num_layers``: names inside a layer where all layers are alike, else whole names."""
    inside: dict[int, set[str]] = defaultdict(set)
    for name in updates:
        if match := _LAYER.fullmatch(name):
            inside[int(match[2])].add(match[3])
    outside = sorted(name for name in updates if not _LAYER.fullmatch(name))
    alike = sorted(inside) == list(range(len(inside))) and len(set(map(frozenset, inside.values()))) == 1
    if not alike:
        return sorted(updates), 0
    return [*sorted(inside[0]), *outside], len(inside)


def _checked_config(folder: Path) -> dict[str, Any]:
    try:
        return check_mlx_config(folder)
    except AdapterFilesError as error:
        raise ConversionError(str(error)) from error


def _update(folder: Path, config: Mapping[str, Any], name: str, parts: Mapping[str, mx.array]) -> LoraUpdate:
    """The update of one module in PEFT's shapes."""
    parameters = config["lora_parameters"]
    needed = ["lora_a", "lora_b", *(["m"] if config.get("fine_tune_type") == "dora" else [])]
    if lacking := [factor for factor in needed if _FACTORS[factor] not in parts]:
        raise ConversionError(
            f"{folder / MLX_WEIGHTS} contains no {lacking[0]} for {name}; train the adapter again"
        )
    if "magnitude" in parts and "m" not in needed:
        raise ConversionError(
            f"{folder / MLX_WEIGHTS} contains the DoRA tensor m for {name}, but {ADAPTER_CONFIG} sets "
            "fine_tune_type: lora; the two files come from different runs"
        )
    a, b = parts["a"], parts["b"]
    if a.ndim == 2:
        a, b = a.T, b.T
    ranks = {int(a.shape[-2]), int(b.shape[-1])} if a.ndim == b.ndim and a.ndim in (2, 3) else set()
    if ranks != {parameters["rank"]}:
        raise ConversionError(
            f"{folder}: the LoRA matrices of {name} have the shapes {list(parts['a'].shape)} and "
            f"{list(parts['b'].shape)}, but {ADAPTER_CONFIG} sets rank {parameters['rank']}; the weights and "
            "the config come from different runs"
        )
    return LoraUpdate(a, b, float(parameters["scale"]), parts.get("magnitude"))

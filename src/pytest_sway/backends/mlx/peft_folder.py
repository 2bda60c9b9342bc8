"""Reads and writes adapter folders of PEFT, without PEFT: LoRA and DoRA of linear layers and embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import mlx.core as mx

from pytest_sway.backends.config_patterns import check_patterns
from pytest_sway.backends.hf.adapter_files.supported_peft_types import (
    CONVERTED_INITS,
    MERGED_LORA_FIELDS,
    PLAIN_INITS,
    PLAIN_LORA_FIELDS,
)
from pytest_sway.backends.hf.adapter_files.tensor_names import (
    PREFIX,
    AmbiguousNamesError,
    peft_tensor_names,
)
from pytest_sway.backends.hf.adapter_files.unknown_config_fields import MODEL_FIELDS, ignored_fields_note
from pytest_sway.backends.mlx.adapter_content import (
    AdapterContent,
    ConversionError,
    LoraUpdate,
    is_embedding,
    read_safetensors,
)
from pytest_sway.backends.mlx.target_modules import pattern_value
from pytest_sway.spec.adapter_file_checks import AdapterFilesError, check_adapter_files
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from pytest_sway.text.message_parts import describe

_FACTORS = {
    "lora_A.weight": "a",
    "lora_B.weight": "b",
    "lora_embedding_A": "a",
    "lora_embedding_B": "b",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
}
"""PEFT's names of the parts of an update."""
_SERVED_FIELDS = PLAIN_LORA_FIELDS | {"use_dora"}
_DEFAULT_RANK, _DEFAULT_ALPHA = 8, 8
_USE_HF = "use kind: hf"


def read_peft_folder(folder: Path) -> AdapterContent:
    """The LoRA or DoRA adapter of a folder.

    Raises:
        ConversionError: it cannot be read, or is of another form; the message names what.
    """
    try:
        config, shapes = check_adapter_files(folder)
        names = peft_tensor_names(shapes, "lora_")
    except AdapterFilesError as error:
        raise ConversionError(str(error)) from error
    except AmbiguousNamesError as error:
        raise ConversionError(f"{folder / ADAPTER_WEIGHTS}: {error}") from error
    ignored = _checked_fields(folder, config)
    parts, whole = _parts(names.by_key, read_safetensors(folder / ADAPTER_WEIGHTS))
    check_patterns(folder, config, sorted(parts))
    updates = {name: _update(folder, config, name, found) for name, found in parts.items()}
    notes = (*((ignored_fields_note(ignored),) if ignored else ()), *names.notes)
    content = AdapterContent(folder, updates, config, changes_tied_head=False, whole=whole, notes=notes)
    content.check_finite()
    return content


def write_peft_folder(content: AdapterContent, folder: Path) -> None:
    """Write an adapter as PEFT's ``save_pretrained`` does.

    Args:
        content: what it changes.
        folder: an empty one.

    Raises:
        ConversionError: PEFT has no such layer.
    """
    if experts := sorted(name for name, update in content.updates.items() if update.has_experts):
        raise ConversionError(
            f"{content.folder} cannot be converted to PEFT format: it contains LoRA weights for the stacked "
            f"experts of {experts[0]}, and PEFT cannot store these"
        )
    tensors: dict[str, mx.array] = {}
    for name, update in content.updates.items():
        plain = ("lora_A.weight", "lora_B.weight")
        a, b = ("lora_embedding_A", "lora_embedding_B") if is_embedding(name) else plain
        tensors[f"{PREFIX}{name}.{a}"] = mx.contiguous(update.a)
        tensors[f"{PREFIX}{name}.{b}"] = mx.contiguous(update.b)
        if update.magnitude is not None:
            tensors[f"{PREFIX}{name}.lora_magnitude_vector"] = update.magnitude
    mx.save_safetensors(str(folder / ADAPTER_WEIGHTS), tensors, {"format": "pt"})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(_peft_config(content), indent=2) + "\n", "utf-8")


def _peft_config(content: AdapterContent) -> dict[str, Any]:
    """mlx-lm has one rank and one scale for all modules."""
    any_update = next(iter(content.updates.values()))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": content.config.get("model"),
        "inference_mode": True,
        "r": any_update.rank,
        "lora_alpha": any_update.scaling * any_update.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_dora": content.is_dora,
        "target_modules": sorted(content.updates),
    }


def _checked_fields(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Fields that are ignored.

    Raises:
        ConversionError: a field makes the update something else than LoRA or DoRA.
    """
    if str(config["peft_type"]).upper() != "LORA":
        raise ConversionError(
            f"{folder}: peft_type {config['peft_type']} has no counterpart in mlx-lm; {_USE_HF}"
        )
    init = config.get("init_lora_weights", True)
    if init not in PLAIN_INITS:
        is_converted = str(init).lower() in CONVERTED_INITS
        remedy = f"; {_USE_HF}, or" if is_converted else ";"
        raise ConversionError(
            f"{folder} cannot be used with mlx-lm: init_lora_weights={init!r} also changed the weights of "
            f"the base model at the start of training{remedy} save the adapter as plain LoRA with "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )
    _check_types(folder, config)
    set_fields = {name for name, value in config.items() if value and name not in _SERVED_FIELDS}
    if config.get("bias") == "none":
        set_fields.discard("bias")
    ignored = {name for name in set_fields if name in MODEL_FIELDS or name.startswith(("_", "unsloth_"))}
    if refused := sorted(set_fields - ignored):
        named = ", ".join(f"{name}={config[name]!r}" for name in refused)
        by_hf = f"; {_USE_HF}" if set(refused) <= MERGED_LORA_FIELDS else ""
        raise ConversionError(
            f"{folder} uses more than LoRA or DoRA ({named}), but mlx-lm supports nothing else{by_hf}"
        )
    return sorted(ignored)


def _check_types(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ConversionError for a field whose value is of a kind that PEFT never writes."""
    numbers = {"lora_alpha": config.get("lora_alpha", _DEFAULT_ALPHA)}
    for field in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(field) or {}
        if not isinstance(pattern, dict):
            raise ConversionError(
                f"{folder / ADAPTER_CONFIG}: {field} is {describe(pattern)}; expected an object"
            )
        numbers |= {f"{field}: {key}": value for key, value in pattern.items()}
        _check_expressions(folder, field, [rf"(.*\.)?({key})$" for key in pattern])
    for field, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ConversionError(
                f"{folder / ADAPTER_CONFIG}: {field} is {describe(value)}; expected a number"
            )
    for field in ("target_modules", "exclude_modules"):
        names = config.get(field) or []
        if not isinstance(names, str) and not (
            isinstance(names, list) and all(isinstance(name, str) for name in names)
        ):
            raise ConversionError(
                f"{folder / ADAPTER_CONFIG}: {field} is {describe(names)}; expected a string or a list of "
                "strings"
            )
        _check_expressions(folder, field, [names] if isinstance(names, str) else [])


def _check_expressions(folder: Path, field: str, expressions: Iterable[str]) -> None:
    for expression in expressions:
        try:
            re.compile(expression)
        except re.error as error:
            what = f"{field} contains {expression!r}, which is not a valid regular expression: {error}"
            raise ConversionError(f"{folder / ADAPTER_CONFIG}: {what}") from error


def _parts(
    names: Mapping[str, str], tensors: Mapping[str, mx.array]
) -> tuple[dict[str, dict[str, mx.array]], dict[str, mx.array]]:
    """The tensors of each module, by what they are; and those that are no factor of LoRA."""
    parts: dict[str, dict[str, mx.array]] = {}
    whole: dict[str, mx.array] = {}
    for key, name in names.items():
        module, _, factor = name.removeprefix(PREFIX).partition(".lora_")
        if f"lora_{factor}" in _FACTORS:
            parts.setdefault(module, {})[_FACTORS[f"lora_{factor}"]] = tensors[key]
        else:
            whole[name.removeprefix(PREFIX).replace(".base_layer.", ".")] = tensors[key]
    return parts, whole


def _update(folder: Path, config: Mapping[str, Any], name: str, parts: Mapping[str, mx.array]) -> LoraUpdate:
    """The update of one module, its rank and its scaling those of the config."""
    needed = {"a", "b", "magnitude"} if config.get("use_dora") else {"a", "b"}
    if "magnitude" in parts.keys() - needed:
        raise ConversionError(
            f"{folder / ADAPTER_WEIGHTS} contains a lora_magnitude_vector for {name}, but {ADAPTER_CONFIG} "
            "sets use_dora: false; the two files come from different runs"
        )
    if lacking := sorted(needed - parts.keys()):
        named = {"a": "lora_A", "b": "lora_B", "magnitude": "lora_magnitude_vector"}[lacking[0]]
        raise ConversionError(
            f"{folder / ADAPTER_WEIGHTS} contains no {named} for {name}; save the adapter again"
        )
    rank = pattern_value(config.get("rank_pattern") or {}, name, config.get("r", _DEFAULT_RANK))
    alpha = pattern_value(config.get("alpha_pattern") or {}, name, config.get("lora_alpha", _DEFAULT_ALPHA))
    a, b = parts["a"], parts["b"]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise ConversionError(
            f"{folder}: the LoRA matrices of {name} have the shapes {list(a.shape)} and {list(b.shape)}, but "
            f"{ADAPTER_CONFIG} sets their rank to {rank}; the two files come from different runs"
        )
    scaling = float(alpha) / (sqrt(rank) if config.get("use_rslora") else rank)
    magnitude = parts.get("magnitude")
    return LoraUpdate(a, b, scaling, None if magnitude is None else magnitude.reshape(-1))

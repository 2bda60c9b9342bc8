"""Checks of an adapter's config and weights file, before a model is loaded. Standard library only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_sway.regular_files import folder_fault, read_regular
from pytest_sway.safetensors_header import HeaderError, Shapes, tensor_shapes
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MLX_WEIGHTS
from pytest_sway.text.message_parts import describe
from pytest_sway.user_error import UserError

Config = Mapping[str, Any]
_MATRIX = re.compile(
    r"\.lora_(?:embedding_)?[AB](?:\.[^.]+)?\.weight$|\.(?:lm_head|embed_tokens)\.weight$|flat_param"
)
"""Names of tensors that have two dimensions or more in every adapter, or that FSDP gives to its flat ones."""
_FACTOR_A = re.compile(r"\.lora_A(?:\.[^.]+)?\.weight$")
"""Names of the first factors of LoRA, which have a row for each rank."""
_DEFAULT_RANK = 8
_LARGEST_ALPHA = 1e30
_TASK_HEADS = {
    "SEQ_CLS": ("a sequence classifier", r"\.(?:score|classifier|summary)\."),
    "TOKEN_CLS": ("a token classifier", r"\.(?:score|classifier)\."),
    "QUESTION_ANS": ("a question answering model", r"\.qa_outputs\."),
    "SEQ_2_SEQ_LM": ("an encoder-decoder model", r"(?:^|\.)encoder\."),
}
"""Task types of other models, with the tensors that only such a model has."""
_NOT_GATHERED = (
    "DeepSpeed ZeRO-3 and FSDP can save such a file if the parameters are not gathered before saving. Save "
    "the adapter again with stage3_gather_16bit_weights_on_model_save: true (ZeRO-3) or "
    "fsdp_state_dict_type: FULL_STATE_DICT (FSDP)"
)


class AdapterFilesError(UserError):
    """An adapter folder that cannot be used, as its files show; the message names the file and the remedy."""


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter_config.json of a folder.

    Raises:
        AdapterFilesError: it cannot be read, or is no JSON object.
    """
    path = folder / ADAPTER_CONFIG
    if fault := folder_fault(folder):
        raise AdapterFilesError(fault)
    try:
        config = json.loads(read_regular(path).decode("utf-8"))
    except OSError as error:
        raise AdapterFilesError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AdapterFilesError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise AdapterFilesError(f"{path} does not contain a JSON object")
    return config


def check_adapter_files(folder: Path) -> tuple[dict[str, Any], Shapes]:
    """The config of an adapter folder and the shapes of its tensors, once all checks have passed.

    Raises:
        AdapterFilesError: what is wrong, and what to do.
    """
    config = read_config(folder)
    _check_writer(folder, config)
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise AdapterFilesError(_no_weights(folder))
    try:
        shapes = tensor_shapes(path)
    except HeaderError as error:
        raise AdapterFilesError(f"{path} {error}") from error
    for check in _CHECKS:
        if (wrong := check(config, shapes)) is not None:
            raise AdapterFilesError(f"{folder}: {wrong}")
    return config, shapes


def why_not_served(folder: Path) -> str | None:
    """Why an adapter folder cannot be used, as its files show; None where they show no reason."""
    try:
        if is_mlx_folder(folder):
            check_mlx_config(folder)
        else:
            check_adapter_files(folder)
    except AdapterFilesError as error:
        return str(error)
    return None


def is_mlx_folder(folder: Path) -> bool:
    """Whether a folder holds an adapter of mlx-lm, and none of PEFT."""
    return (folder / MLX_WEIGHTS).is_file() and not (folder / ADAPTER_WEIGHTS).is_file()


def check_mlx_config(folder: Path) -> dict[str, Any]:
    """The config of a folder of mlx-lm, once it is one of LoRA or DoRA.

    Raises:
        AdapterFilesError: what is wrong, and what to do.
    """
    config = read_config(folder)
    kind = config.get("fine_tune_type", "lora")
    if kind == "full":
        raise AdapterFilesError(
            f"{folder} contains a full fine-tune of mlx-lm (fine_tune_type: full), not an adapter. Fuse it "
            "with mlx_lm.fuse. Then evaluate the fused model: set kind: hf, set models.ft.base to the "
            "folder of the fused model, and add defaults: {differential: false}"
        )
    parameters = config.get("lora_parameters")
    if kind not in ("lora", "dora") or not isinstance(parameters, dict):
        raise AdapterFilesError(
            f"{folder / ADAPTER_CONFIG} is not in the format of mlx-lm: fine_tune_type must be lora or dora "
            f"(found {describe(kind)}), and lora_parameters must be an object with rank, scale and keys "
            f"(found {describe(parameters)})"
        )
    keys = parameters.get("keys")
    wrong = [
        (f"lora_parameters.{name}", value, "a number")
        for name in ("rank", "scale")
        if not _is_number(value := parameters.get(name))
    ]
    if not isinstance(layers := config.get("num_layers", 0), int):
        wrong.append(("num_layers", layers, "an integer"))
    if keys is not None and not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        wrong.append(("lora_parameters.keys", keys, "a list of names"))
    for field, value, kind in wrong:
        raise AdapterFilesError(
            f"{folder / ADAPTER_CONFIG}: {field} is {describe(value)}, but it must be {kind}"
        )
    return config


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _check_writer(folder: Path, config: Config) -> None:
    """Raise unless PEFT wrote the config."""
    if isinstance(config.get("peft_type"), str):
        return
    if "fine_tune_type" in config or "lora_parameters" in config:
        raise AdapterFilesError(
            f"{folder} has an adapter config of mlx-lm, but the weights are missing or are PEFT weights "
            f"({ADAPTER_WEIGHTS}). Copy a config and weights of the same format into this folder "
            f"(mlx-lm saves its weights in {MLX_WEIGHTS})"
        )
    fields = ", ".join(sorted(config)[:5]) or "none"
    raise AdapterFilesError(
        f"{folder / ADAPTER_CONFIG} has no peft_type, so it was not written by PEFT (its first fields: "
        f"{fields}); other formats are not supported"
    )


def _no_weights(folder: Path) -> str:
    """Why a folder without the weights file cannot be used, with what it holds instead."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        return (
            f"{folder} contains {pickled[0]} instead of {ADAPTER_WEIGHTS}; pickled weights are never loaded. "
            "Save the adapter again with save_pretrained(..., safe_serialization=True)"
        )
    if (folder / ADAPTER_WEIGHTS).is_symlink():
        return f"{folder / ADAPTER_WEIGHTS} is a broken link: its target does not exist"
    others = [name for name in names if name.endswith(".safetensors")]
    there = f" (it contains {', '.join(others[:3])})" if others else ""
    return (
        f"{folder} contains no {ADAPTER_WEIGHTS}{there}. Training may still be writing this file, or it was "
        "not saved or copied. If necessary, save the adapter again with PEFT's save_pretrained"
    )


def _no_tensors(_: Config, shapes: Shapes) -> str | None:
    return None if shapes else f"{ADAPTER_WEIGHTS} contains no tensors. {_NOT_GATHERED}"


def _empty_tensors(_: Config, shapes: Shapes) -> str | None:
    """Tensors without values."""
    empty = [name for name, shape in shapes.items() if 0 in shape]
    if not empty:
        return None
    first = f"{min(empty)} {list(shapes[min(empty)])}"
    return (
        f"{len(empty)} of {len(shapes)} tensors in {ADAPTER_WEIGHTS} are empty (first: {first}). "
        f"{_NOT_GATHERED}"
    )


def _flat_tensors(_: Config, shapes: Shapes) -> str | None:
    """Matrices that were stored as vectors."""
    flat = [name for name, shape in shapes.items() if len(shape) == 1 and _MATRIX.search(name)]
    if not flat:
        return None
    first = f"{min(flat)} {list(shapes[min(flat)])}"
    return (
        f"{len(flat)} of {len(shapes)} tensors in {ADAPTER_WEIGHTS} are one-dimensional instead of matrices "
        f"(first: {first}). {_NOT_GATHERED}"
    )


def _other_task(config: Config, shapes: Shapes) -> str | None:
    """An adapter for another task than causal language modelling."""
    kind, heads = _TASK_HEADS.get(str(config.get("task_type")), ("", ""))
    head = [name for name in shapes if heads and re.search(heads, name)]
    if not head:
        return None
    return (
        f"the adapter is for {kind} (task_type {config['task_type']}, tensor {min(head)}), but only causal "
        "language models can be evaluated"
    )


def _invalid_rank(config: Config, _: Shapes) -> str | None:
    """A rank that no adapter can have."""
    rank = config.get("r", _DEFAULT_RANK)
    wrong = isinstance(rank, bool) or not isinstance(rank, int) or rank < 1
    if not _is_lora(config) or not wrong:
        return None
    return f"{ADAPTER_CONFIG} sets r: {describe(rank)}; the rank of a LoRA adapter must be an integer ≥ 1"


def _invalid_alpha(config: Config, _: Shapes) -> str | None:
    """A scale that no 32-bit number holds."""
    if not _is_lora(config):
        return None
    pattern = config.get("alpha_pattern")
    values = {"lora_alpha": config.get("lora_alpha")}
    if isinstance(pattern, dict):
        values |= {f"alpha_pattern: {name}": value for name, value in pattern.items()}
    for name, value in values.items():
        if value is not None and not (_is_number(value) and -_LARGEST_ALPHA <= value <= _LARGEST_ALPHA):
            what = f"{ADAPTER_CONFIG} sets {name}: {describe(value)}"
            return f"{what}; expected a number from -{_LARGEST_ALPHA:g} to {_LARGEST_ALPHA:g}"
    return None


def _other_rank(config: Config, shapes: Shapes) -> str | None:
    """Factors of another rank than the config says, where it says one for all modules."""
    if not _is_lora(config) or config.get("rank_pattern") or config.get("target_parameters"):
        return None
    rank = config.get("r", _DEFAULT_RANK)
    other = [name for name, shape in shapes.items() if _FACTOR_A.search(name) and shape[:1] != (rank,)]
    if not other:
        return None
    first = f"{min(other)} {list(shapes[min(other)])}"
    return (
        f"{len(other)} of {len(shapes)} tensors in {ADAPTER_WEIGHTS} do not have the rank that "
        f"{ADAPTER_CONFIG} sets (r: {rank}; first: {first}). Either the two files come from different runs, "
        f"or the tensors are shards. {_NOT_GATHERED}"
    )


def _is_lora(config: Config) -> bool:
    return str(config["peft_type"]).upper() == "LORA"


_CHECKS: tuple[Callable[[Config, Shapes], str | None], ...] = (
    _no_tensors,
    _empty_tensors,
    _flat_tensors,
    _other_task,
    _invalid_rank,
    _invalid_alpha,
    _other_rank,
)

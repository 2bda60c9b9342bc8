"""Why a model folder's weight files cannot be used, and what to do, by the names of files and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_sway.backends.base import BackendError
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG
from pytest_sway.text.message_parts import shorten_list

_WRAPPERS = {
    "_orig_mod": (
        "the model was saved while torch.compile wrapped it. Save the original model with "
        "model._orig_mod.save_pretrained"
    ),
    "_fsdp_wrapped_module": (
        "the model was saved while FSDP wrapped it. Collect the full state dict with "
        "FullyShardedDataParallel.summon_full_params or accelerator.get_state_dict, then call save_pretrained"
    ),
    "_flat_param": (
        "these are FSDP's flattened parameters. Collect the full state dict with accelerator.get_state_dict, "
        "then call save_pretrained"
    ),
    "_checkpoint_wrapped_module": (
        "the model was saved while torch's activation checkpointing wrapped it. Save the original model"
    ),
}
"""Components of tensor names that only a wrapper of torch writes."""
_PREFIXES = {
    "base_model.model.": (
        "the model was saved while PEFT wrapped it. Merge the adapter first (merge_and_unload, then "
        "save_pretrained), or save only the adapter and set models.ft.adapter to its folder"
    ),
    "module.": (
        "the model was saved while DataParallel, DistributedDataParallel or DeepSpeed wrapped it. Save the "
        "original model with model.module.save_pretrained"
    ),
}
"""Beginnings that only a wrapper gives to the name of every tensor."""
_SAVE = "save the model again with save_pretrained(..., safe_serialization=True)"
_OTHER_FILES = (
    (
        "model-*-of-*.safetensors",
        "contains shards ({0}), but not model.safetensors.index.json, the file that lists the shards",
    ),
    (
        "consolidated*.safetensors",
        "contains {0}, which is Mistral's own format; use the files in transformers' format",
    ),
    ("adapters.safetensors", "contains an mlx-lm adapter ({0}), but no model weights"),
    (
        "model.*.safetensors",
        "contains a variant of the weights ({0}), which is not loaded; rename it to model.safetensors",
    ),
    ("*.safetensors", "contains {0}, but no model.safetensors or index file; only these names are loaded"),
    ("*.gguf", "contains {0}. GGUF files are not supported here; use the model in transformers' format"),
    (
        "pytorch_model*.bin",
        "contains {0}, but no *.safetensors; pickled weights are never loaded, so " + _SAVE,
    ),
)
"""Files that may be there instead of the weights, and the message on the first that matches."""


def check_tensor_names(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse files whose tensors are not a model's, by their names or shapes.

    Raises:
        BackendError: there is no tensor, some are empty, or their names are a wrapper's.
    """
    if not shapes:
        raise BackendError(f"the weight files of {folder} contain no tensors; save the model again")
    for part, cause in _WRAPPERS.items():
        wrapped = [name for name in shapes if part in name.split(".")]
        if wrapped:
            raise BackendError(f"{_summary(folder, wrapped, shapes)} have {part!r} in their names: {cause}")
    for prefix, cause in _PREFIXES.items():
        if all(name.startswith(prefix) for name in shapes):
            raise BackendError(
                f"{_summary(folder, list(shapes), shapes)} have names that begin with {prefix!r}: {cause}"
            )
    empty = [name for name, shape in shapes.items() if 0 in shape]
    if empty:
        shape = list(shapes[empty[0]])
        raise BackendError(
            f"{_summary(folder, empty, shapes)} are empty (shape of the first: {shape}). This happens when "
            "DeepSpeed ZeRO-3 or FSDP does not gather the weights before saving. Save the gathered weights: "
            "use accelerator.get_state_dict, or set stage3_gather_16bit_weights_on_model_save: true"
        )


def missing_weights_message(folder: Path, wanted: str) -> str:
    """Why a model folder without ``wanted`` cannot be loaded, from what it holds instead."""
    if (folder / ADAPTER_CONFIG).is_file():
        return f"{folder} is not a model folder: it contains no {wanted}{adapter_hint(folder)}"
    for pattern, text in _OTHER_FILES:
        if found := sorted(path.name for path in folder.glob(pattern)):
            return f"{folder} {text.format(shorten_list(found))}"
    below = sorted(path.parent.name for path in folder.glob(f"*/{wanted}"))
    if below:
        return (
            f"{folder} contains no {wanted}, but these subfolders contain one: {shorten_list(below)}. "
            "Use one of these subfolders"
        )
    return f"{folder} contains no *.safetensors; {_SAVE}"


def adapter_hint(folder: Path) -> str:
    """The end of a message on a folder that holds an adapter and no model; else empty."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return ""
    return (
        f". It contains an {ADAPTER_CONFIG}, so it is an adapter. Set models.ft.adapter to this folder, and "
        "set models.base.base and models.ft.base to the model that the adapter was trained on"
    )


def _summary(folder: Path, names: list[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    return f"{len(names)} of {len(shapes)} tensors in {folder} (first: {names[0]})"

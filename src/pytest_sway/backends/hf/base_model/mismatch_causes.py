"""Why the tensors of a model and of its files differ, found from names, shapes and config."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint

Mismatch = tuple[str, tuple[int, ...], tuple[int, ...]]
"""A tensor's name, its shape in the file, and its shape in the model."""
_PEFT_PARTS = (
    "base_layer",
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "modules_to_save",
    "original_module",
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_LAYER_COUNT_FIELDS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_EXPERT = re.compile(r"^(?P<layer>.*\.experts)\.(?P<number>\d+)\.(?P<tensor>.+)$")


def mismatch_causes(
    model: Any,
    checkpoint: Checkpoint,
    missing: Collection[str],
    unexpected: Sequence[str],
    mismatched: Sequence[Mismatch],
) -> Iterator[str]:
    """The causes that apply, each as the end of a message.

    Args:
        model: as it was loaded.
        checkpoint: its files.
        missing: tensors of the model that no file holds.
        unexpected: tensors of the files that the model does not have.
        mismatched: tensors of another shape.
    """
    if prefix := _wrapper_prefix(missing, unexpected):
        yield (
            "the model was saved inside a wrapper module, so the names of the missing tensors begin with "
            f"{prefix!r} in the files; save the model without the wrapper"
        )
    if any(part in name.split(".") for name in unexpected for part in _PEFT_PARTS):
        yield (
            "a PEFT adapter was still attached when the model was saved; merge it first (merge_and_unload), "
            "or save the model without it (unload)"
        )
    yield from _head_causes(model, checkpoint, missing)
    yield from _layer_causes(model, checkpoint, missing, unexpected)
    if expert := missing_expert(checkpoint.shapes):
        yield expert
    yield from _shape_causes(model, mismatched)


def missing_expert(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Which tensor of an expert is missing that other experts have; empty where none is.

    transformers stacks the experts of a layer, and its own report does not name the one that is missing.
    """
    by_expert: dict[str, dict[int, set[str]]] = {}
    for name in shapes:
        if part := _EXPERT.match(name):
            by_expert.setdefault(part["layer"], {}).setdefault(int(part["number"]), set()).add(part["tensor"])
    tensors = {name for experts in by_expert.values() for names in experts.values() for name in names}
    count = 1 + max((number for experts in by_expert.values() for number in experts), default=-1)
    missing = [
        f"{layer}.{number}.{name}"
        for layer, experts in sorted(by_expert.items())
        for number in range(count)
        for name in sorted(tensors - experts.get(number, set()))
    ]
    if not missing:
        return ""
    return (
        "some experts lack tensors that other experts have; number of missing tensors: "
        f"{len(missing)} (first: {missing[0]})"
    )


def _head_causes(model: Any, checkpoint: Checkpoint, missing: Collection[str]) -> Iterator[str]:
    own = type(model).__name__
    architecture = next(iter(checkpoint.config.get("architectures") or ()), own)
    if architecture != own:
        yield (
            f"config.json states that the model was saved as {architecture}, but only models with a "
            f"language-modelling head ({own}) can be evaluated"
        )
    elif set(missing) == {_head_weight(model)}:
        yield (
            "the files contain no head, but config.json states that the head is not tied to the embedding "
            "(tie_word_embeddings: false). If the model was trained with a tied head, set "
            "tie_word_embeddings: true; otherwise, save the model with its head"
        )


def _layer_causes(
    model: Any, checkpoint: Checkpoint, missing: Collection[str], unexpected: Sequence[str]
) -> Iterator[str]:
    """Another number of layers in the config than in the files."""
    config = model.config.get_text_config()
    layers = next((getattr(config, name) for name in _LAYER_COUNT_FIELDS if hasattr(config, name)), None)
    held = 1 + max(map(_layer_number, checkpoint.shapes), default=-1)
    if not isinstance(layers, int) or not held:
        return
    more = held > layers and any(_layer_number(name) >= layers for name in unexpected)
    less = held < layers and any(_layer_number(name) >= held for name in missing)
    if more or less:
        yield f"config.json states that the model has {layers} layers, but the files contain {held}"


def _layer_number(name: str) -> int:
    match = _LAYER.search(name)
    return int(match[1]) if match else -1


def _shape_causes(model: Any, mismatched: Sequence[Mismatch]) -> Iterator[str]:
    """Flat shards, and embeddings of another vocabulary."""
    if any(len(stored) == 1 < len(own) for _, stored, own in mismatched):
        yield (
            "some tensors in the file are one-dimensional, like the shards of DeepSpeed ZeRO-3 and FSDP; "
            "save the gathered weights with accelerator.get_state_dict"
        )
    rows = [
        (name, stored[0])
        for name, stored, own in mismatched
        if len(stored) == len(own) == 2 and stored[1] == own[1]
    ]
    vocabulary = getattr(model.config.get_text_config(), "vocab_size", None)
    if rows and vocabulary is not None and all(own[0] == vocabulary for _, _, own in mismatched):
        name, count = rows[0]
        yield (
            f"config.json sets vocab_size: {vocabulary}, but the matrix {name} in the files has {count} "
            f"rows; change vocab_size to {count}"
        )


def _head_weight(model: Any) -> str | None:
    """The name of the head's weight."""
    head = model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    return f"{names[id(head)]}.weight" if id(head) in names else None


def _wrapper_prefix(missing: Collection[str], unexpected: Sequence[str]) -> str:
    """What stands before every left-over name of a missing tensor; empty where nothing explains them all."""
    for end in sorted(missing, key=len, reverse=True):
        first = next((name for name in unexpected if name.endswith("." + end)), None)
        if first is not None:
            prefix = first.removesuffix(end)
            renamed = {name.removeprefix(prefix) for name in unexpected}
            return prefix if set(missing) <= renamed else ""
    return ""

"""Checks the loading report of transformers: a model must hold exactly the tensors of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.base_model.architecture import modality_configs
from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint
from pytest_sway.backends.hf.base_model.mismatch_causes import Mismatch, mismatch_causes

_MASK_SUFFIXES = (".bias", ".masked_bias", ".causal_mask")
_MODALITY_NAME = re.compile(
    r"(^|[._])(vision|visual|audio|image|speech|video|multi_modal|multimodal|mm)([._]|$)"
)
_ADVICE = "copy the files again, or save the model again with save_pretrained"


@dataclass(frozen=True)
class LoadingReport:
    """What ``from_pretrained(..., output_loading_info=True)`` returns beside the model.

    Attributes:
        missing: tensors of the model that no file holds; transformers filled them with random numbers.
        unexpected: tensors of the files that the model does not have.
        mismatched: tensors of another shape: name, shape in the file, shape in the model.
        errors: other messages.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    errors: tuple[str, ...]

    @classmethod
    def of(cls, info: Any, model: Any, checkpoint: Checkpoint) -> LoadingReport:
        """From the dict of transformers, whose version 4 names mismatched tensors without their shapes."""
        own = model.state_dict()
        shapes = sorted(
            (key, checkpoint.shapes.get(key, ()), tuple(own[key].shape))
            if isinstance(key, str)
            else (str(key[0]), tuple(key[1]), tuple(key[2]))
            for key in info["mismatched_keys"]
        )
        return cls(
            tuple(sorted(map(str, info["missing_keys"]))),
            tuple(sorted(map(str, info["unexpected_keys"]))),
            tuple(shapes),
            tuple(" ".join(str(message).split()) for message in info["error_msgs"]),
        )


def check_report(model: Any, report: LoadingReport, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Refuse a model that does not hold exactly its files; else notes on parts that are not needed.

    Tied weights, and buffers that follow from the config, are left out of the report by transformers itself.
    Causal masks that old checkpoints store are no weights, and where the text side of a multimodal model was
    loaded, its other parts are noted.

    Raises:
        BackendError: a tensor is missing, left over, of another shape, or was replaced by a tied one.
    """
    others = _other_modalities(model, report, checkpoint)
    unexpected = [
        name
        for name in report.unexpected
        if name not in others and not _is_mask(name, _shape_in_files(name, checkpoint))
    ]
    faults = [
        _count_and_first(report.missing, "of the model are missing from the files"),
        _count_and_first(unexpected, "in the files are not part of the model"),
        _shape_fault(report),
        *report.errors,
        _tying_fault(model, checkpoint),
    ]
    if any(faults):
        kind = type(model).__name__
        fault = "; ".join(filter(None, faults))
        causes = mismatch_causes(model, checkpoint, report.missing, unexpected, report.mismatched)
        cause = "; ".join(causes) or (
            f"the files do not match the {kind} in config.json, or are incomplete; {_ADVICE}"
        )
        raise BackendError(
            f"{checkpoint.folder} does not contain a complete {kind}: {fault}. Possible cause: {cause}"
        )
    if others:
        configs = ", ".join(modality_configs(checkpoint.config))
        note = f"only the text part of {checkpoint.folder} is evaluated: {len(others)} tensors of other parts"
        return (f"{note} ({configs}) are not loaded",)
    return ()


def _count_and_first(names: Iterable[str], text: str) -> str:
    listed = list(names)
    return f"{len(listed)} tensors {text} (first: {listed[0]})" if listed else ""


def _shape_fault(report: LoadingReport) -> str:
    if not report.mismatched:
        return ""
    name, stored, own = report.mismatched[0]
    return (
        f"{len(report.mismatched)} tensors do not have the shape that config.json defines (first: {name} has "
        f"the shape {list(stored)} in the file, but {list(own)} according to config.json)"
    )


def _shape_in_files(name: str, checkpoint: Checkpoint) -> tuple[int, ...] | None:
    """Of a tensor in the files, by its name in the report, which may have got a prefix."""
    exact = checkpoint.shapes.get(name)
    if exact is not None:
        return exact
    return next((s for key, s in checkpoint.shapes.items() if name.endswith("." + key)), None)


def _is_mask(name: str, shape: tuple[int, ...] | None) -> bool:
    """A lower triangle ``[1, 1, context, context]``, or the number that stands for its zeros."""
    if shape is None or not name.endswith(_MASK_SUFFIXES):
        return False
    square = len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    return square or (name.endswith(".masked_bias") and shape in ((), (1,)))


def _other_modalities(model: Any, report: LoadingReport, checkpoint: Checkpoint) -> frozenset[str]:
    """Tensors of the other parts of a multimodal model of which the text side was loaded."""
    if model.config.model_type == checkpoint.config.get("model_type") or not modality_configs(
        checkpoint.config
    ):
        return frozenset()
    return frozenset(name for name in report.unexpected if _MODALITY_NAME.search(name))


def _tying_fault(model: Any, checkpoint: Checkpoint) -> str:
    """Tensors that differ in the files and that the model ties, so that it holds one of them only."""
    names_by_tensor: dict[int, list[str]] = {}
    own = model.state_dict(keep_vars=True)
    for name, tensor in own.items():
        if name in checkpoint.shapes:
            names_by_tensor.setdefault(id(tensor), []).append(name)
    for names in names_by_tensor.values():
        if len(names) > 1:
            stored = [_read_tensor(name, checkpoint, own[name].dtype) for name in names]
            other = next((n for n, t in zip(names, stored, strict=True) if not torch.equal(t, stored[0])), "")
            if other:
                return (
                    f"{names[0]} and {other} differ in the files, but the model ties them (it uses one "
                    "tensor for both); if the model was trained with two separate tensors, set "
                    "tie_word_embeddings: false in config.json"
                )
    return ""


def _read_tensor(name: str, checkpoint: Checkpoint, dtype: torch.dtype) -> torch.Tensor:
    from safetensors import safe_open

    for file in checkpoint.files:
        with safe_open(file, framework="pt") as opened:
            if name in opened.keys():  # noqa: SIM118 - not a dict
                tensor: torch.Tensor = opened.get_tensor(name)
                return tensor.to(dtype)
    raise KeyError(name)

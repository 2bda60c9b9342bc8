"""What transformers reports after loading a model, judged: which tensors were not loaded, and why."""

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

_MASKS = (".bias", ".masked_bias", ".causal_mask")
_TOWERS = re.compile(r"(^|[._])(vision|visual|audio|image|speech|video|multi_modal|multimodal|mm)([._]|$)")
_SAVE = "copy its files again, or save it again with save_pretrained"


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
        """From transformers' dict; version 4 gives no shapes beside the names that do not match."""
        own = model.state_dict()
        shapes = sorted(
            (one, checkpoint.shapes.get(one, ()), tuple(own[one].shape))
            if isinstance(one, str)
            else (str(one[0]), tuple(one[1]), tuple(one[2]))
            for one in info["mismatched_keys"]
        )
        return cls(
            tuple(sorted(map(str, info["missing_keys"]))),
            tuple(sorted(map(str, info["unexpected_keys"]))),
            tuple(shapes),
            tuple(" ".join(str(one).split()) for one in info["error_msgs"]),
        )


def check_report(model: Any, report: LoadingReport, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Refuse a model that is not exactly what its files hold; else notes on what was left out rightly.

    Tied weights, and buffers that follow from the config, are left out of the report by transformers itself.
    Causal masks that old checkpoints store are no weights, and where the text side of a multimodal model was
    loaded, its other parts are noted.

    Raises:
        BackendError: a tensor is missing, left over, of another shape, or was replaced by a tied one.
    """
    towers = _towers(model, report, checkpoint)
    left = [
        name
        for name in report.unexpected
        if name not in towers and not _is_mask(name, _shape(name, checkpoint))
    ]
    found = [
        _some(report.missing, "of the model are in no file"),
        _some(left, "of the files are not in the model"),
        _mismatch(report),
        *report.errors,
        _replaced(model, checkpoint),
    ]
    if any(found):
        kind = type(model).__name__
        said = "; ".join(filter(None, found))
        why = "; ".join(mismatch_causes(model, checkpoint, report.missing, left, report.mismatched)) or (
            f"these are not the files of the {kind} that config.json describes, or not all of them; {_SAVE}"
        )
        raise BackendError(f"{checkpoint.folder} does not hold a whole {kind}: {said}: {why}")
    if towers:
        others = ", ".join(modality_configs(checkpoint.config))
        note = f"the text side of {checkpoint.folder} is evaluated: {len(towers)} tensors of its other parts"
        return (f"{note} ({others}) are not loaded",)
    return ()


def _some(names: Iterable[str], text: str) -> str:
    listed = list(names)
    return f"{len(listed)} tensors {text} (first: {listed[0]})" if listed else ""


def _mismatch(report: LoadingReport) -> str:
    if not report.mismatched:
        return ""
    name, found, own = report.mismatched[0]
    return (
        f"{len(report.mismatched)} tensors have another shape than config.json says (first: {name} is "
        f"{list(found)} in the file, {list(own)} by config.json)"
    )


def _shape(name: str, checkpoint: Checkpoint) -> tuple[int, ...] | None:
    """Of a tensor in the files, by its name in the report, which may have got a prefix."""
    exact = checkpoint.shapes.get(name)
    if exact is not None:
        return exact
    return next((s for key, s in checkpoint.shapes.items() if name.endswith("." + key)), None)


def _is_mask(name: str, shape: tuple[int, ...] | None) -> bool:
    """A lower triangle ``[1, 1, context, context]``, or the number that stands for its zeros."""
    if shape is None or not name.endswith(_MASKS):
        return False
    square = len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    return square or (name.endswith(".masked_bias") and shape in ((), (1,)))


def _towers(model: Any, report: LoadingReport, checkpoint: Checkpoint) -> frozenset[str]:
    """What belongs to the other parts of a multimodal model whose text side alone was loaded."""
    if model.config.model_type == checkpoint.config.get("model_type") or not modality_configs(
        checkpoint.config
    ):
        return frozenset()
    return frozenset(name for name in report.unexpected if _TOWERS.search(name))


def _replaced(model: Any, checkpoint: Checkpoint) -> str:
    """A tensor of the files that the model does not hold, since it tied another one in its place."""
    places: dict[int, list[str]] = {}
    own = model.state_dict(keep_vars=True)
    for name, tensor in own.items():
        if name in checkpoint.shapes:
            places.setdefault(id(tensor), []).append(name)
    for names in places.values():
        if len(names) > 1:
            stored = [_stored(name, checkpoint, own[name].dtype) for name in names]
            other = next((n for n, t in zip(names, stored, strict=True) if not torch.equal(t, stored[0])), "")
            if other:
                return (
                    f"{names[0]} and {other} differ in the files, and the model ties them: write "
                    "tie_word_embeddings: false into config.json if the model was trained so"
                )
    return ""


def _stored(name: str, checkpoint: Checkpoint, dtype: torch.dtype) -> torch.Tensor:
    from safetensors import safe_open

    for file in checkpoint.files:
        with safe_open(file, framework="pt") as opened:
            if name in opened.keys():  # noqa: SIM118 - not a dict
                tensor: torch.Tensor = opened.get_tensor(name)
                return tensor.to(dtype)
    raise KeyError(name)

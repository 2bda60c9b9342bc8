"""A full fine-tune: the weights of another model of the base's architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import read_tensors
from pytest_sway.backends.hf.adapter_forms.merged_adapter import merged_weights
from pytest_sway.backends.hf.adapter_forms.weight_delta import TunedWeights, row_logits
from pytest_sway.backends.hf.base_model.pretrained import load_pretrained
from pytest_sway.backends.hf.finite_checks import non_finite_cause, non_finite_tensors
from pytest_sway.backends.hf.prompts.vocabulary import RESIZE_ADVICE

_OTHER_FORWARD = (
    "the two models compute different results even with the same weights, so they do not have the same "
    "architecture; use the base model that the fine-tuned model was trained from"
)
_IGNORED_FIELDS = frozenset(
    {
        "_name_or_path",
        "architectures",
        "dtype",
        "initializer_range",
        "max_position_embeddings",
        "max_window_layers",
        "pretraining_tp",
        "tie_word_embeddings",
        "transformers_version",
        "use_cache",
    }
)
"""Config fields that do not change what given weights compute (tied weights are compared path by path, and
``layer_types`` says which layers have a sliding window)."""
_IGNORED_SUFFIXES = ("_token_id", "dropout", "pdrop")


def finetuned_weights(
    model: torch.nn.Module,
    folder: Path,
    files: AdapterFiles | None,
    row: list[int],
    *,
    trust_remote_code: bool = False,
) -> TunedWeights:
    """The fine-tuned model in ``folder``, with its adapter merged where it has one.

    It is loaded on the CPU in the base's dtype, so that both sides are rounded alike.

    Args:
        model: the base; not touched.
        folder: of the fine-tuned model.
        files: an adapter on the fine-tuned model.
        row: token ids of the check row.
        trust_remote_code: whether the spec lets it bring its own code.

    Raises:
        BackendError: it cannot be loaded, holds a NaN or an infinity, or is of another
            architecture, configuration or vocabulary.
    """
    dtype = next(model.parameters()).dtype
    try:
        pretrained = load_pretrained(folder, dtype, trust_remote_code=trust_remote_code)
    except BackendError as error:
        raise BackendError(f"the fine-tuned model cannot be loaded: {error}") from error
    if pretrained.quantization is not None:
        raise BackendError(
            f"the fine-tuned model {folder} is quantized ({pretrained.quantization.name}), but the base "
            "model is not; use the unquantized fine-tuned model"
        )
    tuned = pretrained.model.eval()
    _check_same_architecture(model, tuned, folder)
    if fault := non_finite_tensors(tuned.state_dict()):
        cause = non_finite_cause(fault, pretrained.checkpoint.files, dtype)
        raise BackendError(f"the fine-tuned model {folder} {cause}")
    if files is not None:
        return merged_weights(tuned, files, read_tensors(files), row)
    tuned = tuned.float()
    return TunedWeights(str(folder), dict(tuned.state_dict()), row_logits(tuned, row), _OTHER_FORWARD)


def _check_same_architecture(model: Any, tuned: Any, folder: Path) -> None:
    """Refuse a model that differs from the base in more than its weights: in class, config or shapes."""
    ours, theirs = type(model).__name__, type(tuned).__name__
    if ours != theirs:
        raise BackendError(
            f"{folder} is a {theirs}, but the base model is a {ours}. Use the base model that the fine-tuned "
            "model was trained from"
        )
    own = model.state_dict()
    for path, tensor in tuned.state_dict().items():
        if path in own and own[path].shape != tensor.shape:
            advice = RESIZE_ADVICE if "embed" in path or "head" in path else _OTHER_FORWARD
            raise BackendError(
                f"{path} has the shape {list(tensor.shape)} in {folder}, but "
                f"{list(own[path].shape)} in the base model; {advice}"
            )
    base, other = model.config.to_dict(), tuned.config.to_dict()
    for name in sorted(type(model.config)().to_dict().keys() - _IGNORED_FIELDS):
        if not name.endswith(_IGNORED_SUFFIXES) and base.get(name) != other.get(name):
            raise BackendError(
                f"{folder}/config.json sets {name}: {other.get(name)!r}, but the base model has {name}: "
                f"{base.get(name)!r}; {_OTHER_FORWARD}"
            )

"""Attaches a subject to the base in the form that its files need: LoRA factors or changed weights."""

from __future__ import annotations

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.config_patterns import check_patterns
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import drop_base_tensors, read_tensors
from pytest_sway.backends.hf.adapter_forms.full_finetune import finetuned_weights
from pytest_sway.backends.hf.adapter_forms.lora import LoraAdapter, plain_lora_update
from pytest_sway.backends.hf.adapter_forms.merged_adapter import merged_weights
from pytest_sway.backends.hf.adapter_forms.per_expert_lora import is_per_expert, per_expert_weights
from pytest_sway.backends.hf.adapter_forms.pissa_conversion import converted_lora_update
from pytest_sway.backends.hf.adapter_forms.served_adapter import ServedAdapter
from pytest_sway.backends.hf.adapter_forms.weight_delta import weight_delta
from pytest_sway.backends.hf.base_model.quantization import is_quantized
from pytest_sway.backends.hf.device.placement import refuse_spread
from pytest_sway.backends.hf.prompts.vocabulary import Vocabulary
from pytest_sway.backends.hf.subject_files import SubjectFiles


def attach(
    model: torch.nn.Module, source: SubjectFiles, row: list[int], vocabulary: Vocabulary
) -> ServedAdapter:
    """Put the subject on the base, in the plainest form that is right.

    Args:
        model: the base.
        source: the subject's files.
        row: token ids of the check row.
        vocabulary: of both sides.

    Raises:
        BackendError: it does not fit, or what it does is no change of the base's weights.
    """
    row = [token % vocabulary.needed_rows for token in row]
    files = source.files
    if files is not None:
        _check_patterns(model, files)
    if source.model is not None:
        refuse_changed_weights(model, source)
        target = finetuned_weights(
            model, source.model, files, row, trust_remote_code=source.trust_remote_code
        )
        return weight_delta(model, target, row, source.digest)
    assert files is not None  # find_subject_files() names one of the two
    if files.form != "plain":
        refuse_changed_weights(model, source)
    state = read_tensors(files)
    factors, changed = drop_base_tensors(model, state)
    if is_per_expert(model, factors):
        refuse_changed_weights(model, source)
        return weight_delta(model, per_expert_weights(model, files, factors, row), row, source.digest)
    if changed:
        refuse_changed_weights(model, source)
    if files.form == "full_weights" or changed:
        return weight_delta(model, merged_weights(model, files, state, row, vocabulary), row, source.digest)
    if files.form == "converted":
        update = converted_lora_update(model, files, factors)
    else:
        update = plain_lora_update(files, factors)
    return LoraAdapter(model, update, source.digest)


def refuse_changed_weights(model: torch.nn.Module, source: SubjectFiles) -> None:
    """Refuse an adapter that changes the base's own weights where they cannot be changed.

    Raises:
        BackendError: they are quantized, or on several devices.
    """
    if is_quantized(model):
        raise BackendError(
            f"{source} is not plain LoRA: it changes the base model's weights or is initialized from them, "
            "but these weights are quantized. Use the unquantized base model (and remove "
            "models.ft.quantization), or train plain LoRA"
        )
    refuse_spread(model, str(source))


def add_null(model: torch.nn.Module, held: ServedAdapter, source: SubjectFiles) -> None:
    """Let a user's own adapter stand as a null of the subject that is attached.

    Args:
        model: the base; the subject may be on it.
        held: the subject.
        source: the null's files.

    Raises:
        BackendError: one of the two is no plain LoRA, or they do not fit each other.
    """
    files = source.files
    assert files is not None  # a null is named by its folder
    _check_patterns(model, files)
    state, changed = drop_base_tensors(model, read_tensors(files))
    if files.form != "plain" or changed or any(".lora_" not in key for key in state):
        raise BackendError(
            f"{files.folder} cannot be used as a null adapter: a null adapter must be plain LoRA"
        )
    if not isinstance(held, LoraAdapter):
        raise BackendError(
            f"{files.folder} cannot be used as a null adapter here, because the evaluated adapter changes "
            "full weight tensors; use family: norm_matched or permuted"
        )
    held.add_null(plain_lora_update(files, state), source.digest)


def _check_patterns(model: torch.nn.Module, files: AdapterFiles) -> None:
    """Raise BackendError where a regular expression of the config does not end on this model's names."""
    check_patterns(files.folder, files.config, [name for name, _ in model.named_modules()])

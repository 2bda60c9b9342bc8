"""Any PEFT adapter as changed weights: PEFT's merge, and the logits of PEFT's unmerged forward."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import (
    SUBJECT,
    StateDict,
    base_path,
    check_complete,
    check_shapes,
    peft_errors,
)
from pytest_sway.backends.hf.adapter_files.expert_layout import convert_expert_layout
from pytest_sway.backends.hf.adapter_forms.resized_embeddings import resize, resized_rows, with_base_rows
from pytest_sway.backends.hf.adapter_forms.weight_delta import (
    TunedWeights,
    row_logits,
)
from pytest_sway.backends.hf.finite_checks import FILE_BROKEN, check_logits_in_fp32, non_finite_tensors
from pytest_sway.backends.hf.prompts.vocabulary import Vocabulary

_NO_WEIGHTS = (
    "the adapter's effect is not equivalent to a change of the base model's weights, so the adapter is not "
    "supported. Train an adapter type that PEFT can merge"
)


def merged_weights(
    model: torch.nn.Module,
    files: AdapterFiles,
    state: StateDict,
    row: list[int],
    vocabulary: Vocabulary | None = None,
) -> TunedWeights:
    """The model's weights with the adapter merged, and the logits of PEFT's unmerged forward.

    Both are computed on a copy in fp32 on the CPU, so that a base in bf16 is rounded once, at the end, and
    a GPU needs no second copy.

    Args:
        model: the adapter's base; not touched.
        files: the adapter.
        state: everything in its file.
        row: token ids of the check row.
        vocabulary: of both sides; without it the adapter's embeddings must have the base's rows.

    Raises:
        BackendError: the adapter does not fit, is not complete, or cannot be merged.
    """
    if fault := non_finite_tensors(state):
        raise BackendError(f"{files.folder} is broken: {fault}; {FILE_BROKEN}")
    base = _fp32_copy(model)
    resized = resized_rows(base, files, state, vocabulary)
    if resized is not None:
        resize(base, resized)
    tied = _tied_parameters(base)
    with peft_errors(files.folder):
        wrapped = _wrap_and_load(base, files, state)
        logits = row_logits(wrapped, row)
        check_logits_in_fp32(str(files.folder), logits)
        _untie_weights(wrapped, tied)
        if getattr(wrapped.peft_config[SUBJECT], "lora_bias", False) or files.config["peft_type"] == "BEFT":
            _add_zero_biases(wrapped)
        try:
            merged = wrapped.merge_and_unload(safe_merge=True)
        except Exception as error:
            raise BackendError(f"{files.folder} cannot be merged ({error}): {_NO_WEIGHTS}") from error
    target = TunedWeights(str(files.folder), dict(merged.state_dict()), logits, _NO_WEIGHTS)
    return target if resized is None else with_base_rows(model, target)


def _wrap_and_load(base: torch.nn.Module, files: AdapterFiles, state: StateDict) -> PeftModel:
    """The wrapped model, with every tensor of the file loaded."""
    config = PeftConfig.from_pretrained(str(files.folder))
    config.inference_mode = True
    own = base.state_dict()
    wrapped = PeftModel(base, config, adapter_name=SUBJECT)
    expected = get_peft_model_state_dict(wrapped, adapter_name=SUBJECT, save_embedding_layers=False)
    # PEFT also writes the embeddings where they were targeted or resized
    optional = get_peft_model_state_dict(wrapped, adapter_name=SUBJECT, save_embedding_layers=True).keys()
    optional |= {key for key in state if base_path(key) in own}
    state = convert_expert_layout(wrapped, files, state)
    check_complete(files, expected.keys() - state.keys(), state.keys() - expected.keys() - optional)
    check_shapes(files, state, expected)
    set_peft_model_state_dict(wrapped, state, adapter_name=SUBJECT)
    return wrapped.eval()


def _fp32_copy(model: torch.nn.Module) -> torch.nn.Module:
    """A copy in fp32 on the CPU; tied weights stay tied."""
    memo: dict[int, torch.Tensor] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        new = tensor.detach().to("cpu", dtype, copy=True)
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(new, requires_grad=False) if is_parameter else new
    return copy.deepcopy(model, memo)


def _tied_parameters(model: torch.nn.Module) -> set[int]:
    """Ids of the parameters that have more than one path."""
    counts = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    return {key for key, count in counts.items() if count > 1}


def _untie_weights(wrapped: PeftModel, tied: set[int]) -> None:
    """Untie tied weights: PEFT merges into one of them, and its unmerged forward ignores the other."""
    for module in wrapped.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in tied:
                setattr(module, name, torch.nn.Parameter(parameter.detach().clone(), requires_grad=False))


def _add_zero_biases(wrapped: PeftModel) -> None:
    """Add zero biases where only the adapter has one, since PEFT merges into existing biases only."""
    for module in wrapped.modules():
        if isinstance(module, BaseTunerLayer):
            layer = module.get_base_layer()
            if isinstance(layer, torch.nn.Linear) and layer.bias is None:
                layer.bias = torch.nn.Parameter(torch.zeros(layer.out_features), requires_grad=False)

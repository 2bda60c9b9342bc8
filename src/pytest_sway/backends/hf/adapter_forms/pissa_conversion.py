"""Converts PiSSA and OLoRA adapters to plain LoRA of rank 2r.

Both inits take a part s·B₀·A₀ of the weights out of the base and train from it, so the trained model is
W − s·B₀·A₀ + s·B·A. Against the true base W that is the update s·(B·A − B₀·A₀), which is plain LoRA. It is
written as s·([B − B₀, B₀] · [A; A − A₀]): the same matrix, and exactly zero where nothing was trained.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import SUBJECT, StateDict, peft_errors
from pytest_sway.backends.hf.adapter_forms.lora import LoraUpdate, plain_lora_config

_MAX_EPSILONS = 8
"""Machine epsilons of the base's dtype by which its rewritten weights may differ from W − s·B₀·A₀."""


def converted_lora_update(model: torch.nn.Module, files: AdapterFiles, state: StateDict) -> LoraUpdate:
    """The plain LoRA update of rank 2r of a PiSSA or OLoRA adapter.

    PEFT's own init runs on a copy of the base, so the base needs twice its memory for a moment.

    Raises:
        BackendError: the folder does not fit, or its init did something else to the base than the above.
    """
    with peft_errors(files.folder):
        config = LoraConfig.from_pretrained(str(files.folder))
        base = copy.deepcopy(model)
        PeftModel(base, config, adapter_name=SUBJECT)
        layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, LoraLayer)}
        doubled = dict(state)
        for name, layer in layers.items():
            _check_init(files, name, model.get_submodule(name), layer)
            _double(doubled, f"base_model.model.{name}", layer)
        plain = plain_lora_config(config)
        plain.r *= 2
        plain.rank_pattern = {pattern: 2 * rank for pattern, rank in config.rank_pattern.items()}
    scaling = {name: float(layer.scaling[SUBJECT]) for name, layer in layers.items()}
    return LoraUpdate(files, plain, doubled, scaling, has_start_factors=True)


def _double(state: StateDict, prefix: str, layer: LoraLayer) -> None:
    """Replace one module's A ``[r, in]`` and B ``[out, r]`` by those of rank 2r."""
    keys = f"{prefix}.lora_A.weight", f"{prefix}.lora_B.weight"
    a, b = (state.pop(key, None) for key in keys)
    if a is None or b is None:
        return  # reported as missing
    a_start, b_start = layer.lora_A[SUBJECT].weight.detach(), layer.lora_B[SUBJECT].weight.detach()
    a, b = a.to(a_start), b.to(b_start)
    state[keys[0]] = torch.cat([a, a - a_start]).contiguous()
    state[keys[1]] = torch.cat([b - b_start, b_start], dim=1).contiguous()


def _check_init(files: AdapterFiles, name: str, original: Any, layer: LoraLayer) -> None:
    """Refuse an init that did not leave W − s·B₀·A₀, in the orientation that the forward uses."""
    a, b = layer.lora_A[SUBJECT].weight.detach().float(), layer.lora_B[SUBJECT].weight.detach().float()
    removed = layer.scaling[SUBJECT] * b @ a
    original_weight, rewritten = original.weight.detach(), layer.get_base_layer().weight.detach()
    expected = original_weight.float() - (removed.T if layer.fan_in_fan_out else removed)
    allowed = _MAX_EPSILONS * torch.finfo(original_weight.dtype).eps * float(original_weight.float().norm())
    if expected.shape != rewritten.shape or float((expected - rewritten.float()).norm()) > allowed:
        raise BackendError(
            f"{files.folder} cannot be converted to plain LoRA: with init_lora_weights="
            f"{files.config['init_lora_weights']!r}, this version of PEFT does not subtract the initial B·A "
            f"from the weight of {name}. Save the adapter as plain LoRA with save_pretrained(..., "
            "path_initial_model_for_weight_conversion=...)"
        )

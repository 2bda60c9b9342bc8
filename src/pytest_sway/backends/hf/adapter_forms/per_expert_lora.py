"""LoRA on single experts, as transformers 4 has them, on a base whose experts transformers 5 fuses.

The adapter's names (``…experts.3.w1.lora_A.weight``) are those of the checkpoint, which transformers still
writes and reads: the base's weights are given these names, s·B·A is added to each, and transformers fuses
the result. PEFT's own conversion serves only some of these adapters (all or none of what is fused, and
with use_rslora another scale than trained).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND
from peft.utils.other import get_pattern_key

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import StateDict, check_complete, peft_errors
from pytest_sway.backends.hf.adapter_files.tensor_names import PREFIX
from pytest_sway.backends.hf.adapter_forms.weight_delta import TunedWeights, row_logits
from pytest_sway.backends.hf.finite_checks import non_finite_tensors
from pytest_sway.backends.progress_bars import progress_bars_off

_EXPERT = re.compile(r"^(.*\.experts)\.\d+\.")
_FACTOR = re.compile(r"\.lora_[AB]\.weight$")
_NOTE = "the adapter's LoRA weights for individual experts are applied to the fused experts of the base model"
_NOT_FUSED = (
    "transformers fuses the adapter's LoRA weights for individual experts into tensors that give wrong "
    "results in the base model"
)


def is_per_expert(model: torch.nn.Module, state: StateDict) -> bool:
    """Whether an adapter names single experts, and the base has none."""
    modules = {name for name, _ in model.named_modules()}
    named = (match[1] for key in state if (match := _EXPERT.match(key.removeprefix(PREFIX))))
    return any(f"{experts}.0" not in modules for experts in named)


def per_expert_weights(model: Any, files: AdapterFiles, state: StateDict, row: list[int]) -> TunedWeights:
    """The base with the adapter merged, expert by expert, in fp32 on the CPU.

    Args:
        model: the base; not touched.
        files: the adapter.
        state: its tensors, without what they repeat of the base.
        row: token ids of the check row.

    Raises:
        BackendError: it is more than plain LoRA on linear layers, it does not fit, or it is broken.
    """
    others = sorted(key for key in state if not _FACTOR.search(key))
    if files.form != "plain" or others:
        first = f" and tensors such as {others[0]}" if others else ""
        raise BackendError(
            f"{files.folder} is not supported: it changes individual experts, but the experts of the base "
            "model are fused. This is supported only for plain LoRA; the adapter has peft_type "
            f"{files.config['peft_type']}{first}. Merge it with the version of transformers 4 that was "
            "used for training, and evaluate the merged model as models.ft.base with "
            "defaults: {differential: false}"
        )
    if fault := non_finite_tensors(state):
        raise BackendError(f"{files.folder} is broken: {fault}. The training diverged; train it again")
    with peft_errors(files.folder):
        weights = _checkpoint_weights(model)
        _add_updates(weights, files, LoraConfig.from_pretrained(str(files.folder)), state)
        tuned = _fuse_experts(model, files, weights)
    state = dict(tuned.state_dict())
    return TunedWeights(str(files.folder), state, row_logits(tuned, row), _NOT_FUSED, (_NOTE,))


def _checkpoint_weights(model: Any) -> StateDict:
    """The base's weights under the names of its checkpoint, fp32 copies on the CPU."""
    from transformers.core_model_loading import revert_weight_conversion

    own = {
        path: tensor.detach().to("cpu", torch.float32, copy=True)
        for path, tensor in model.state_dict().items()
    }
    weights: StateDict = revert_weight_conversion(model, own)
    return weights


def _fuse_experts(model: Any, files: AdapterFiles, weights: StateDict) -> Any:
    """A model like the base with these weights of a checkpoint."""
    with progress_bars_off():
        tuned, report = type(model).from_pretrained(
            None, config=model.config, state_dict=weights, dtype=torch.float32, output_loading_info=True
        )
    faults = [key for name in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in report[name]]
    if faults:
        raise BackendError(
            f"{files.folder} is not supported: it changes individual experts, and transformers cannot fuse "
            f"these as the base model requires (first tensor that failed: {faults[0]})"
        )
    return tuned.eval()


def _add_updates(weights: StateDict, files: AdapterFiles, config: LoraConfig, state: StateDict) -> None:
    """Add s·B·A to each weight that the adapter names."""
    named = {_FACTOR.sub("", key).removeprefix(PREFIX) for key in state}
    modules = named | _targeted_modules(weights, config)
    expected = {f"{PREFIX}{module}.lora_{part}.weight" for module in modules for part in "AB"}
    extra = [key for key in state if f"{_FACTOR.sub('', key).removeprefix(PREFIX)}.weight" not in weights]
    check_complete(files, expected - state.keys(), extra)
    for module in modules:
        a, b = (state[f"{PREFIX}{module}.lora_{part}.weight"].float() for part in "AB")
        weight = weights[f"{module}.weight"]
        if (b.shape[0], a.shape[-1]) != tuple(weight.shape) or a.shape[0] != b.shape[-1]:
            raise BackendError(
                f"{files.weights} does not fit the base model: for {module}, lora_B has the shape "
                f"{list(b.shape)} and lora_A has the shape {list(a.shape)}, but the base model's weight has "
                f"the shape {list(weight.shape)}. Use the base model that the adapter was trained on"
            )
        weight += _scaling(config, module) * (b @ a)


def _targeted_modules(weights: StateDict, config: LoraConfig) -> set[str]:
    """The modules that the config means, by the checkpoint's names; none where it means all linear ones."""
    if config.target_modules == INCLUDE_LINEAR_LAYERS_SHORTHAND:
        return set()
    linear = (path.removesuffix(".weight") for path, tensor in weights.items() if tensor.ndim == 2)
    return {module for module in linear if check_target_module_exists(config, module)}


def _scaling(config: LoraConfig, module: str) -> float:
    """The factor on B·A of one module, as PEFT has it for a linear layer."""
    rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern.keys(), module), config.r)
    alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern.keys(), module), config.lora_alpha)
    return float(alpha / (rank**0.5 if config.use_rslora else rank))

"""The LoRA factors of a PEFT folder, module by module, as PEFT would put them on the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import Linear
from transformers import AutoModelForCausalLM

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import (
    SUBJECT,
    StateDict,
    check_complete,
    check_shapes,
    peft_errors,
    read_tensors,
)
from pytest_sway.backends.hf.adapter_forms.lora import plain_lora_config
from pytest_sway.backends.hf.finite_checks import FILE_BROKEN
from pytest_sway.backends.hf.lora_factors import Factors, product_norm

_USE_HF = "use kind: hf"


@dataclass(frozen=True)
class LoraModule:
    """One module's update, ``scaling``·B·A.

    Attributes:
        a: ``[rank, in]``.
        b: ``[out, rank]``.
        scaling: of PEFT: from ``lora_alpha``, the rank and their patterns.
    """

    a: torch.Tensor
    b: torch.Tensor
    scaling: float

    @property
    def factors(self) -> Factors:
        """A and B."""
        return self.a, self.b

    @property
    def changes(self) -> bool:
        """Whether the update is not zero."""
        return bool(self.scaling) and product_norm(self.a, self.b) > 0.0


def read_modules(files: AdapterFiles, config: Any, dtype: torch.dtype | None) -> dict[str, LoraModule]:
    """The update of each module that the adapter changes, by the module's name in the base.

    Args:
        files: the adapter's folder.
        config: of the base, of transformers; no weight of the base is read.
        dtype: of the factors; None for the file's own.

    Raises:
        BackendError: it is no plain LoRA of linear layers, does not fit the base, or is not finite.
    """
    state = read_tensors(files)
    if files.form != "plain":
        raise BackendError(
            f"{files.folder} is not plain LoRA, but a server supports only plain LoRA; {_USE_HF}"
        )
    if whole := sorted(key for key in state if ".lora_" not in key):
        raise BackendError(
            f"{files.folder} contains full weight tensors (first: {whole[0]}), which a server would ignore; "
            f"{_USE_HF}"
        )
    layers = _peft_layers(files, config, state)
    for name, layer in layers.items():
        if type(layer) is not Linear or name == "lm_head":
            raise BackendError(
                f"{files.folder} changes {name}, but a server applies LoRA only to the linear layers of the "
                f"transformer blocks; {_USE_HF}"
            )
    modules = {
        name: LoraModule(
            _factor(state, name, "A", dtype), _factor(state, name, "B", dtype), layer.scaling[SUBJECT]
        )
        for name, layer in layers.items()
    }
    check_finite(str(files.folder), modules)
    return modules


def _factor(state: StateDict, name: str, letter: str, dtype: torch.dtype | None) -> torch.Tensor:
    return state[f"base_model.model.{name}.lora_{letter}.weight"].to(dtype)


def check_null_modules(
    name: object, null: Mapping[str, LoraModule], subject: Mapping[str, LoraModule]
) -> None:
    """Raise BackendError where a null of the user's own changes a module that the subject does not.

    Args:
        name: the null's in the message.
        null: its modules.
        subject: those of the adapter in whose place it stands.
    """
    if strange := sorted(null.keys() - subject.keys()):
        raise BackendError(
            f"{name} cannot be used as a null adapter: it changes {len(strange)} modules that the evaluated "
            f"adapter does not change (first: {strange[0]}). Train both with the same target_modules"
        )


def check_finite(name: str, modules: Mapping[str, LoraModule]) -> None:
    """Raise BackendError where a factor of the adapter of this name holds NaN or infinity."""
    broken = [
        one for one, module in modules.items() if not all(bool(f.isfinite().all()) for f in module.factors)
    ]
    if broken:
        raise BackendError(
            f"the adapter {name} contains NaN or infinity in {len(broken)} of {len(modules)} modules "
            f"(first: {broken[0]}): {FILE_BROKEN}"
        )


def _peft_layers(files: AdapterFiles, config: Any, state: StateDict) -> dict[str, Any]:
    """PEFT's layers on a base without weights, once names and shapes are those of the file."""
    with peft_errors(files.folder):
        lora = plain_lora_config(LoraConfig.from_pretrained(str(files.folder)))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
            wrapped = PeftModel(model, lora, adapter_name=SUBJECT)
        own = get_peft_model_state_dict(wrapped, adapter_name=SUBJECT, save_embedding_layers=False)
        check_complete(files, own.keys() - state.keys(), state.keys() - own.keys())
        check_shapes(files, state, own)
    return {name: layer for name, layer in model.named_modules() if hasattr(layer, "lora_A")}

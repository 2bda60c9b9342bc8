"""LoRA on fused experts (``target_parameters``): the layouts in which versions of PEFT write the factors.

A parameter ``[experts, d1, d2]`` gets A as ``[experts·r, in]`` and B as ``[out, r·experts]``. Which of d1 and
d2 is *in* has changed:

===============  =============================================  ======================
PEFT             experts that say ``is_transposed`` (gpt-oss)    other experts
===============  =============================================  ======================
0.17, 0.18       d1                                             d1
0.19.0           d2                                             d1
0.19.1 and on    d1                                             d2
===============  =============================================  ======================

``is_transposed`` is an attribute that transformers 5 gives to such experts, and that transformers 4 did not.
Where d1 = d2 both layouts have the same shapes, and the wrong one is the transposed update.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import transformers
from packaging.version import Version
from peft import PeftModel
from peft.tuners.lora.layer import ParamWrapper

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import SUBJECT, StateDict
from pytest_sway.backends.hf.adapter_files.tensor_names import PREFIX
from pytest_sway.backends.hf.adapter_files.unknown_config_fields import peft_version_of
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG

_BOTH_LAYOUTS = frozenset({False, True})
_REMEDY = (
    "merge the adapter with the versions of PEFT and transformers that trained it (merge_and_unload, then "
    "save_pretrained) and set models.ft.base to the merged model, with defaults: {differential: false}"
)


@dataclass(frozen=True)
class _ExpertParameter:
    """One wrapped parameter of fused experts; ``key`` is its name in a file."""

    key: str
    layer: ParamWrapper

    @property
    def factors(self) -> tuple[str, str]:
        """Names of A and B in a file."""
        return f"{self.key}.lora_A.weight", f"{self.key}.lora_B.weight"

    @property
    def sides(self) -> tuple[int, int]:
        """d1 and d2."""
        _, first, second = self.layer.get_param().shape
        return int(first), int(second)

    @property
    def is_transposed(self) -> bool:
        """Whether the module says that its parameters are ``[experts, in, out]``."""
        return bool(getattr(self.layer.get_base_layer(), "is_transposed", False))

    def layouts_in(self, state: StateDict) -> set[bool]:
        """Whether *in* is d2, by the shapes of a file's factors: one answer, both, or none that fits."""
        a, b = (state[name].shape for name in self.factors)
        first, second = self.sides
        shape = (a[-1], b[0])
        return {
            is_d2
            for is_d2, expected in ((False, (first, second)), (True, (second, first)))
            if shape == expected
        }

    def is_d2_in_installed_peft(self) -> bool:
        """Whether *in* is d2 for the installed PEFT: found out with factors of one number each."""
        a, b = (getattr(self.layer, name)[SUBJECT].weight.detach() for name in ("lora_A", "lora_B"))
        before = a.clone(), b.clone()
        a.zero_()
        b.zero_()
        a[0, 0] = b[1, 0] = 1.0
        update = self.layer.get_delta_weight(SUBJECT)[0]
        a.copy_(before[0])
        b.copy_(before[1])
        return bool(update[1, 0] != 0)


def convert_expert_layout(wrapped: PeftModel, files: AdapterFiles, state: StateDict) -> StateDict:
    """The state with the factors of fused experts as the installed PEFT reads them.

    Args:
        wrapped: the base with the adapter's wrappers, before any tensor is loaded.
        files: the adapter.
        state: its tensors.

    Raises:
        BackendError: neither the shapes nor the PEFT that wrote the adapter tell its layout.
    """
    experts = [expert for expert in _expert_parameters(wrapped) if state.keys() >= set(expert.factors)]
    converted = dict(state)
    for transposed in (False, True):
        alike = [expert for expert in experts if expert.is_transposed == transposed]
        if alike and _is_d2(alike, files, state) != alike[0].is_d2_in_installed_peft():
            for expert in alike:
                _swap_layout(expert, converted)
    return converted


def _expert_parameters(wrapped: PeftModel) -> Iterator[_ExpertParameter]:
    """Wrapped parameters of several experts; for a single one both layouts are the same."""
    for name, layer in wrapped.get_base_model().named_modules():
        if isinstance(layer, ParamWrapper) and layer.num_experts > 1:
            yield _ExpertParameter(f"{PREFIX}{name}", layer)


def _is_d2(alike: list[_ExpertParameter], files: AdapterFiles, state: StateDict) -> bool:
    """Whether *in* is d2 in a file: the same for all its experts, so one that is not square tells it."""
    possible = _BOTH_LAYOUTS.intersection(*(expert.layouts_in(state) for expert in alike))
    if not possible:
        return alike[0].is_d2_in_installed_peft()  # fits no layout, and is refused for its shapes
    if len(possible) > 1:
        possible = _layouts_by_version(files, alike[0].is_transposed)
    if len(possible) > 1:
        first, second = alike[0].sides
        raise BackendError(
            f"cannot tell whether {files.folder} contains the update of the experts in target_parameters or "
            f"the transpose of this update: the experts are {first} × {second}, some versions of PEFT save "
            "the update and others the transpose, and both have the same shapes. "
            f"{_unknown_layout_cause(files)}{_REMEDY}"
        )
    return next(iter(possible))


def _layouts_by_version(files: AdapterFiles, transposed: bool) -> frozenset[bool]:
    """Whether *in* is d2, for the PEFT that wrote the adapter.

    A development version counts as every release around it. Since 0.19 the layout depends on an attribute of
    the experts that came with transformers 5, and no adapter says which transformers trained it.
    """
    version = peft_version_of(files.config)
    if version is None:
        return _BOTH_LAYOUTS
    if version < Version("0.18.1.dev0") or (version < Version("0.19") and not version.is_devrelease):
        return frozenset({False})
    if version.is_devrelease and version < Version("0.20"):
        return _BOTH_LAYOUTS
    if transposed or Version(transformers.__version__) < Version("5"):
        return _BOTH_LAYOUTS
    return frozenset({version >= Version("0.19.1")})


def _unknown_layout_cause(files: AdapterFiles) -> str:
    version = peft_version_of(files.config)
    if version is None:
        return (
            f"{ADAPTER_CONFIG} has no peft_version. Add the version of PEFT that trained the adapter "
            '(e.g. "peft_version": "0.17.1"), or '
        )
    return (
        f"The peft_version {files.config['peft_version']} in {ADAPTER_CONFIG} does not decide this (the "
        "version of transformers, or the commit of a development version, matters too); "
    )


def _swap_layout(expert: _ExpertParameter, state: StateDict) -> None:
    """Write the same update in the other layout, in place."""
    names = expert.factors
    a, b = (state[name] for name in names)
    count = expert.layer.num_experts
    by_expert = a.reshape(count, -1, a.shape[-1])  # [experts, r, in]
    by_rank = b.reshape(b.shape[0], -1, count)  # [out, r, experts]
    state[names[0]] = by_rank.permute(2, 1, 0).reshape(-1, b.shape[0]).contiguous()
    state[names[1]] = by_expert.permute(2, 1, 0).reshape(a.shape[-1], -1).contiguous()

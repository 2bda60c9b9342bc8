"""Reads a PEFT adapter folder: which form it has, or a refusal by name of what cannot be served truthfully.

The config is read *before* an adapter touches the model: some inits (PiSSA, OLoRA, CorDA, LoftQ) rewrite
the base's own weights when they attach, and then "adapter off" is not the base any more.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pytest_sway.backends.protocols import BackendError
from pytest_sway.spec.fleet import CONFIG
from pytest_sway.spec.folders import adapters_below, no_adapter

WEIGHTS = "adapter_model.safetensors"
Form = Literal["plain", "rebased", "whole"]
"""``plain``: B·A beside the weights. ``rebased``: the same, but its init rewrites the base. ``whole``:
anything else that PEFT can merge into the weights."""
_PLAIN = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)
"""LoRA's config fields whose every value leaves it B·A (the configs of inits count for their init alone)."""
_MERGED = frozenset(
    {
        "bias",
        "kasa_config",
        "lora_bias",
        "modules_to_save",
        "target_parameters",
        "trainable_token_indices",
        "use_dora",
    }
)
"""LoRA's config fields that make it more than B·A, but still a change of weights."""
_ADALORA = frozenset(
    {
        "beta1",
        "beta2",
        "deltaT",
        "init_r",
        "orth_reg_weight",
        "target_r",
        "tfinal",
        "tinit",
        "total_step",
    }
)
_OTHERS = frozenset(
    {
        "ADALORA",
        "BEFT",
        "BOFT",
        "C3A",
        "DEFT",
        "DELORA",
        "FOURIERFT",
        "GLORA",
        "GRALORA",
        "HIRA",
        "HRA",
        "IA3",
        "LN_TUNING",
        "LOHA",
        "LOKR",
        "MISS",
        "OFT",
        "OSF",
        "PEANUT",
        "RANDLORA",
        "ROAD",
        "SHIRA",
        "SUPERTUNING",
        "TINYLORA",
        "TRAINABLE_TOKENS",
        "UNILORA",
        "VBLORA",
        "VERA",
        "WAVEFT",
    }
)
"""Other PEFT types whose merged weights were compared with their own forward.

FRoD and PSOFT stay out: what they train is read in a basis of singular vectors of the base, and another
machine or dtype finds other ones."""
_PLAIN_INITS = (True, False, "gaussian", "orthogonal", "eva", "mica")
_REBASED_INITS = ("pissa", "olora")
_MERGE_YOURSELF = (
    "if PEFT can merge it, save the merged model (merge_and_unload, save_pretrained) and evaluate that as "
    "models.ft.base with defaults: {differential: false}"
)
_NOT_REMADE = (
    "it rewrote the base from random numbers or from data, and that start cannot be made again; save it as "
    "plain LoRA with save_pretrained(..., path_initial_model_for_weight_conversion=...)"
)


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter folder that has been checked: its config, its form, and what else lies beside it."""

    folder: Path
    config: dict[str, Any]
    form: Form
    below: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS


def read(path: str) -> AdapterFiles:
    """Check an adapter folder.

    Raises:
        BackendError: no folder, no config, no safetensors, or an adapter of a form not served.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BackendError(f"models.ft.adapter: there is no folder {folder}")
    if not (folder / CONFIG).is_file():
        raise BackendError(f"models.ft.adapter: {no_adapter(folder)}")
    if not (folder / WEIGHTS).is_file():
        raise BackendError(
            f"models.ft.adapter: {folder} holds no {WEIGHTS}; pickled weights are never loaded: save the "
            "adapter again with save_pretrained(..., safe_serialization=True)"
        )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackendError(f"models.ft.adapter: {folder / CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise BackendError(f"models.ft.adapter: {folder / CONFIG} holds no JSON object")
    return AdapterFiles(folder, config, _form(folder, config), tuple(adapters_below(folder)))


def _form(folder: Path, config: dict[str, Any]) -> Form:
    """The adapter's form; everything not known to be served right is refused, future variants included."""
    kind = str(config.get("peft_type", "")).upper()
    if kind != "LORA" and kind not in _OTHERS:
        served = ", ".join(sorted({"LORA", *_OTHERS}))
        raise BackendError(
            f"{folder}: peft_type {kind or 'is missing'!s} is not served, since no change of weights is "
            f"known to do what it does; served are: {served}; {_MERGE_YOURSELF}"
        )
    changed = _not_default(kind, config)
    unknown = sorted(changed.keys() - _known(kind))
    if unknown:
        named = ", ".join(f"{name}={changed[name]!r}" for name in unknown)
        raise BackendError(
            f"{folder} is an adapter of a variant that is not served: {named} (nobody has checked what it "
            f"does to the weights); {_MERGE_YOURSELF}"
        )
    init = config.get("init_lora_weights", True)
    rebased = str(init).lower() in _REBASED_INITS
    if init not in _PLAIN_INITS and not rebased:
        raise BackendError(f"{folder} is not served: init_lora_weights={init!r}: {_NOT_REMADE}")
    if kind != "LORA" or changed.keys() & _MERGED:
        return "whole"
    return "rebased" if rebased else "plain"


def _not_default(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The fields that are set to something else than their default."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    if kind not in CONFIGS:
        raise BackendError(f"peft_type {kind} is not known to the installed PEFT; install a newer one")
    defaults = {f.name: f.default for f in fields(CONFIGS[kind]) if f.default is not MISSING}
    return {name: value for name, value in config.items() if value and value != defaults.get(name)}


def _known(kind: str) -> frozenset[str]:
    """Config fields that were checked: LoRA's one by one, of the other types all that PEFT declares."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    lora = _PLAIN | _MERGED
    if kind in ("LORA", "ADALORA"):
        return lora if kind == "LORA" else lora | _ADALORA
    return frozenset(f.name for f in fields(CONFIGS[kind]))

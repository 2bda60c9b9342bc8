"""Reads a PEFT adapter folder: which form it has, or a refusal by name of what cannot be served truthfully.

The config is read *before* an adapter touches the model: some inits (PiSSA, OLoRA, CorDA, LoftQ) rewrite
the base's own weights when they attach, and then "adapter off" is not the base any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.config_fields import ignored_note, variant_fields, why_variant
from pytest_sway.backends.hf.tensor_names import AmbiguousNamesError, SavedNames, saved_names
from pytest_sway.spec.adapter_file_checks import AdapterFilesError, check_adapter_files
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapters_below, no_adapter

CONFIG, WEIGHTS = ADAPTER_CONFIG, ADAPTER_WEIGHTS
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
    """An adapter folder that has been checked: its config, its form, and what else lies beside it.

    Attributes:
        folder: where it is.
        config: its adapter_config.json.
        form: how it is served.
        below: its subfolders that are adapters themselves.
        names: PEFT's name of each tensor by its name in the file.
        notes: what a reader of the report should know of the files.
    """

    folder: Path
    config: dict[str, Any]
    form: Form
    names: Mapping[str, str]
    below: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS


def read(path: str) -> AdapterFiles:
    """Check an adapter folder.

    Raises:
        BackendError: no folder, no config, files that cannot be read, or an adapter of a form not served.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BackendError(f"models.ft.adapter: there is no folder {folder}")
    if not (folder / CONFIG).is_file():
        raise BackendError(f"models.ft.adapter: {no_adapter(folder)}")
    try:
        config, shapes = check_adapter_files(folder)
    except AdapterFilesError as error:
        raise BackendError(f"models.ft.adapter: {error}") from error
    kind = _kind(folder, config)
    changed = _not_default(kind, config)
    leftovers = _leftovers(folder, config, kind, changed)
    form = _form(folder, config, kind, changed)
    names = _names(folder, kind, shapes)
    notes = [*([ignored_note(leftovers)] if leftovers else []), *names.notes, *_task_notes(config)]
    return AdapterFiles(folder, config, form, names.by_key, tuple(adapters_below(folder)), tuple(notes))


def _names(folder: Path, kind: str, keys: Iterable[str]) -> SavedNames:
    """The names that PEFT gives to the tensors of the file."""
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING as PREFIXES

    try:
        return saved_names(keys, PREFIXES[kind])
    except AmbiguousNamesError as error:
        raise BackendError(
            f"{folder / WEIGHTS}: {error}, once the names of wrappers are taken off; save the adapter with "
            "PEFT's save_pretrained, called on the model inside all wrappers"
        ) from error


def _kind(folder: Path, config: dict[str, Any]) -> str:
    """The adapter's PEFT type, one of those that are served."""
    kind = str(config["peft_type"]).upper()
    if kind != "LORA" and kind not in _OTHERS:
        served = ", ".join(sorted({"LORA", *_OTHERS}))
        raise BackendError(
            f"{folder}: peft_type {kind} is not served, since no change of weights is known to do what it "
            f"does; served are: {served}; {_MERGE_YOURSELF}"
        )
    return kind


def _leftovers(folder: Path, config: dict[str, Any], kind: str, changed: dict[str, Any]) -> list[str]:
    """Fields that no PEFT reads.

    Raises:
        BackendError: a field may change what the adapter computes, and nobody has checked how.
    """
    known = {f.name for f in fields(_config_class(kind))}
    unknown = changed.keys() - known - _known(kind)
    if unchecked := sorted(changed.keys() & known - _known(kind)):
        why, refused = "nobody has checked what it does to the weights", unchecked
    else:
        why, refused = why_variant(config), variant_fields(config, unknown)
    if refused:
        named = ", ".join(f"{name}={changed[name]!r}" for name in refused)
        raise BackendError(
            f"{folder} is an adapter of a variant that is not served: {named} ({why}); {_MERGE_YOURSELF}"
        )
    return sorted(unknown)


def _task_notes(config: dict[str, Any]) -> tuple[str, ...]:
    """A note where the adapter says that it was trained on another kind of model."""
    task = config.get("task_type")
    if task in (None, "CAUSAL_LM"):
        return ()
    return (f"the adapter's task_type is {task}; it is evaluated on the base's language modelling head",)


def _form(folder: Path, config: dict[str, Any], kind: str, changed: dict[str, Any]) -> Form:
    """The adapter's form; what cannot be served right is refused."""
    init = config.get("init_lora_weights", True)
    rebased = str(init).lower() in _REBASED_INITS
    if init not in _PLAIN_INITS and not rebased:
        raise BackendError(f"{folder} is not served: init_lora_weights={init!r}: {_NOT_REMADE}")
    if kind != "LORA" or changed.keys() & _MERGED:
        return "whole"
    return "rebased" if rebased else "plain"


def _not_default(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The fields that are set to something else than their default."""
    defaults = {f.name: f.default for f in fields(_config_class(kind)) if f.default is not MISSING}
    return {name: value for name, value in config.items() if value and value != defaults.get(name)}


def _config_class(kind: str) -> Any:
    """PEFT's config class of a type."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    if kind not in CONFIGS:
        raise BackendError(f"peft_type {kind} is not known to the installed PEFT; install a newer one")
    return CONFIGS[kind]


def _known(kind: str) -> frozenset[str]:
    """Config fields that were checked: LoRA's one by one, of the other types all that PEFT declares."""
    lora = _PLAIN | _MERGED
    if kind in ("LORA", "ADALORA"):
        return lora if kind == "LORA" else lora | _ADALORA
    return frozenset(f.name for f in fields(_config_class(kind)))

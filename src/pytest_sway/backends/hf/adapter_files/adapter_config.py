"""Reads a PEFT adapter folder: which form it has, or why it is not served.

The config is read *before* an adapter touches the model: some inits (PiSSA, OLoRA, CorDA, LoftQ) rewrite
the base's own weights when they attach, and then "adapter off" is not the base any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.config_patterns import check_patterns
from pytest_sway.backends.hf.adapter_files.supported_peft_types import (
    ADALORA_FIELDS,
    CONVERTED_INITS,
    MERGED_LORA_FIELDS,
    OTHER_PEFT_TYPES,
    PLAIN_INITS,
    PLAIN_LORA_FIELDS,
)
from pytest_sway.backends.hf.adapter_files.tensor_names import (
    AmbiguousNamesError,
    PeftTensorNames,
    peft_tensor_names,
)
from pytest_sway.backends.hf.adapter_files.unknown_config_fields import (
    ignored_fields_note,
    variant_cause,
    variant_fields,
)
from pytest_sway.backends.hf.peft_import import import_peft
from pytest_sway.spec.adapter_file_checks import AdapterFilesError, check_adapter_files
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapters_below, no_adapter

AdapterForm = Literal["plain", "converted", "full_weights"]
"""``plain``: B·A beside the weights. ``converted``: the same, converted from an init that rewrites
the base. ``full_weights``: anything else that PEFT can merge into the weights."""
_MERGE_ADVICE = (
    "if PEFT can merge the adapter, save the merged model (merge_and_unload, then save_pretrained) and set "
    "models.ft.base to its folder, with defaults: {differential: false}"
)
_INIT_NOT_REPEATABLE = (
    "because it depends on random numbers or data and cannot be reproduced; save the adapter as plain LoRA "
    "with save_pretrained(..., path_initial_model_for_weight_conversion=...)"
)


@dataclass(frozen=True)
class AdapterFiles:
    """A checked adapter folder: its config, its form, and the adapters in its subfolders.

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
    form: AdapterForm
    names: Mapping[str, str]
    below: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / ADAPTER_WEIGHTS


def read_adapter_files(path: str) -> AdapterFiles:
    """Check an adapter folder.

    Raises:
        BackendError: no folder, no config, files that cannot be read, or an adapter of a form not served.
        ImportError: PEFT is not installed.
    """
    import_peft()
    folder = Path(path)
    if not folder.is_dir():
        raise BackendError(f"models.ft.adapter: folder {folder} does not exist")
    if not (folder / ADAPTER_CONFIG).is_file():
        raise BackendError(f"models.ft.adapter: {no_adapter(folder)}")
    try:
        config, shapes = check_adapter_files(folder)
    except AdapterFilesError as error:
        raise BackendError(f"models.ft.adapter: {error}") from error
    peft_type = _peft_type(folder, config)
    changed = _changed_fields(peft_type, config)
    ignored = _ignored_fields(folder, config, peft_type, changed)
    form = _adapter_form(folder, config, peft_type, changed)
    check_patterns(folder, config, [name.rpartition(".lora_")[0] for name in shapes])
    names = _tensor_names(folder, peft_type, shapes)
    notes = [*([ignored_fields_note(ignored)] if ignored else []), *names.notes, *_task_notes(config)]
    return AdapterFiles(folder, config, form, names.by_key, tuple(adapters_below(folder)), tuple(notes))


def _tensor_names(folder: Path, peft_type: str, keys: Iterable[str]) -> PeftTensorNames:
    """The names that PEFT gives to the tensors of the file."""
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING as PREFIXES

    try:
        return peft_tensor_names(keys, PREFIXES[peft_type])
    except AmbiguousNamesError as error:
        raise BackendError(
            f"{folder / ADAPTER_WEIGHTS}: {error}. Save the adapter "
            "with PEFT's save_pretrained, called on the model inside all wrappers"
        ) from error


def _peft_type(folder: Path, config: dict[str, Any]) -> str:
    """The adapter's PEFT type, one of those that are served."""
    peft_type = str(config["peft_type"]).upper()
    if peft_type != "LORA" and peft_type not in OTHER_PEFT_TYPES:
        served = ", ".join(sorted({"LORA", *OTHER_PEFT_TYPES}))
        raise BackendError(
            f"{folder}: peft_type {peft_type} is not supported, because its effect is not equivalent to a "
            f"change of the model's weights (supported: {served}); {_MERGE_ADVICE}"
        )
    return peft_type


def _ignored_fields(
    folder: Path, config: dict[str, Any], peft_type: str, changed: dict[str, Any]
) -> list[str]:
    """Fields that PEFT ignores.

    Raises:
        BackendError: a field may change what the adapter computes, and nobody has checked how.
    """
    known = {f.name for f in fields(_config_class(peft_type))}
    unknown = changed.keys() - known - _checked_fields(peft_type)
    if unchecked := sorted(changed.keys() & known - _checked_fields(peft_type)):
        cause, refused = "the effect of this setting on the weights has not been verified", unchecked
    else:
        cause, refused = variant_cause(config), variant_fields(config, unknown)
    if refused:
        named = ", ".join(f"{name}={changed[name]!r}" for name in refused)
        raise BackendError(f"{folder} sets {named}, but {cause}; {_MERGE_ADVICE}")
    return sorted(unknown)


def _task_notes(config: dict[str, Any]) -> tuple[str, ...]:
    """A note where the adapter says that it was trained on another kind of model."""
    task = config.get("task_type")
    if task in (None, "CAUSAL_LM"):
        return ()
    return (
        f"the adapter's task_type is {task}; it is evaluated with the base model's language modelling head",
    )


def _adapter_form(
    folder: Path, config: dict[str, Any], peft_type: str, changed: dict[str, Any]
) -> AdapterForm:
    """The adapter's form.

    Raises:
        BackendError: its init cannot be repeated.
    """
    init = config.get("init_lora_weights", True)
    is_converted = str(init).lower() in CONVERTED_INITS
    if init not in PLAIN_INITS and not is_converted:
        raise BackendError(f"{folder}: init_lora_weights={init!r} is not supported, {_INIT_NOT_REPEATABLE}")
    if peft_type != "LORA" or changed.keys() & MERGED_LORA_FIELDS:
        return "full_weights"
    return "converted" if is_converted else "plain"


def _changed_fields(peft_type: str, config: dict[str, Any]) -> dict[str, Any]:
    """The fields that are set to something else than their default."""
    defaults = {f.name: f.default for f in fields(_config_class(peft_type)) if f.default is not MISSING}
    return {name: value for name, value in config.items() if value and value != defaults.get(name)}


def _config_class(peft_type: str) -> Any:
    """PEFT's config class of a type."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as CONFIGS

    if peft_type not in CONFIGS:
        raise BackendError(f"the installed PEFT does not support peft_type {peft_type}; upgrade PEFT")
    return CONFIGS[peft_type]


def _checked_fields(peft_type: str) -> frozenset[str]:
    """Config fields that are served: of LoRA the checked ones, of other types all that PEFT declares."""
    lora = PLAIN_LORA_FIELDS | MERGED_LORA_FIELDS
    if peft_type in ("LORA", "ADALORA"):
        return lora if peft_type == "LORA" else lora | ADALORA_FIELDS
    return frozenset(f.name for f in fields(_config_class(peft_type)))

"""Reads a PEFT adapter folder and refuses, by name, what cannot be served truthfully.

The config is read *before* an adapter touches the model: some inits (PiSSA, OLoRA, CorDA, LoftQ)
rewrite the base's own weights when they attach, and then "adapter off" is not the base any more.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from pytest_sway.backends.protocols import BackendError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SERVED = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
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
"""Config fields whose every value is served right; any other must be at its default."""
_PLAIN_INITS = (True, False, "gaussian", "orthogonal")
_ADVICE = {
    "bias": "its trained biases overwrite the base's, so the base cannot be served beside it",
    "modules_to_save": "it carries whole trained modules, which no scale and no null can touch",
    "use_dora": "its magnitudes act without the update, so neither scale nor null is truthful",
    "init_lora_weights": "attaching it rewrites the base; save it as plain LoRA with "
    "save_pretrained(..., path_initial_model_for_weight_conversion=...)",
}


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter folder that has been checked: its config and where its weights are."""

    folder: Path
    config: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS


def read(path: str | None) -> AdapterFiles:
    """Check an adapter folder.

    Raises:
        BackendError: no folder, no config, no safetensors, or an adapter of a form not served.
    """
    if path is None:
        raise BackendError("models.ft.adapter is missing: name the folder of a LoRA adapter")
    folder = Path(path)
    if not folder.is_dir():
        raise BackendError(f"models.ft.adapter: there is no folder {folder}")
    if not (folder / CONFIG).is_file():
        raise BackendError(f"models.ft.adapter: {folder} is not an adapter: it holds no {CONFIG}")
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
    _refuse_unserved(folder, config)
    return AdapterFiles(folder, config)


def _refuse_unserved(folder: Path, config: dict[str, Any]) -> None:
    """Everything not known to be served right is refused, future variants included."""
    kind = str(config.get("peft_type", "")).upper()
    if kind != "LORA":
        raise BackendError(f"{folder}: peft_type {kind or 'is missing'!s} is not served, only LORA is")
    defaults = _lora_defaults()
    refused = [
        f"{name}={value!r} ({_ADVICE.get(name, 'its update is more than B·A')})"
        for name, value in sorted(config.items())
        if name not in _SERVED and value and value != defaults.get(name)
    ]
    init = config.get("init_lora_weights", True)
    if init not in _PLAIN_INITS:
        refused.append(f"init_lora_weights={init!r} ({_ADVICE['init_lora_weights']})")
    if refused:
        raise BackendError(f"{folder} is not a plain LoRA adapter; not served: {'; '.join(refused)}")


def _lora_defaults() -> dict[str, Any]:
    from peft import LoraConfig

    return {f.name: f.default for f in fields(LoraConfig) if f.default is not MISSING}

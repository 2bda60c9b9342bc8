"""Which models are causal language models that transformers can load, by their config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.text.message_parts import describe

_MODALITIES = ("vision", "audio", "image", "speech", "video")
"""Words in the names of the sub-configs of a multimodal model."""
_AUTO_CLASS = "AutoModelForCausalLM"
_FIELDS = (
    ("model_type", str, "a string"),
    ("auto_map", dict, "an object"),
    ("architectures", list, "a list of names"),
)
"""Fields that say what a model is, and what they hold."""


def check_causal_language_model(folder: Path, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    """Refuse a model that is no causal language model.

    Args:
        folder: of the model.
        config: its ``config.json``.
        trust_remote_code: whether the spec lets it bring its own classes.

    Raises:
        BackendError: it is an encoder-decoder, an encoder, a multimodal model that transformers has no causal
            language model for, or a type that transformers does not know.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    _check_types(folder, config)
    kind = config.get("model_type")
    has_own_code = _AUTO_CLASS in (config.get("auto_map") or {})
    if has_own_code and trust_remote_code:
        return
    named = f"{folder} (model_type {kind})"
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not _is_encoder_decoder(folder, config):
        architectures = list(config.get("architectures") or ())
        if architectures and all(str(name).endswith("ForMaskedLM") for name in architectures):
            raise BackendError(
                f"{named} is an encoder ({architectures[0]}), which predicts masked tokens, not the next "
                "token; only causal language models can be evaluated"
            )
        return
    if has_own_code:
        raise BackendError(
            f"{named} needs custom code from its folder; if you trust it, set trust_remote_code: true"
        )
    if kind not in CONFIG_MAPPING_NAMES:
        raise BackendError(
            f"{folder}/config.json has model_type {kind!r}, which the installed transformers does not know; "
            "a newer version may support it"
        )
    raise BackendError(
        f"{named} {_kind_of_model(folder, config)}; only causal language models can be evaluated"
    )


def _check_types(folder: Path, config: dict[str, Any]) -> None:
    """Raise BackendError for a field whose value is of a kind that transformers never writes."""
    for field, kind, expected in _FIELDS:
        value = config.get(field)
        if value is not None and not isinstance(value, kind):
            raise BackendError(
                f"{folder}/config.json: {field} is {describe(value)}, but it must be {expected}"
            )


def modality_configs(config: dict[str, Any]) -> list[str]:
    """The sub-configs of a multimodal model that are not its text's."""
    return sorted(
        name
        for name, value in config.items()
        if name.endswith("_config") and isinstance(value, dict) and any(word in name for word in _MODALITIES)
    )


def _kind_of_model(folder: Path, config: dict[str, Any]) -> str:
    if configs := modality_configs(config):
        listed = ", ".join(configs)
        return (
            f"is a multimodal model ({listed}), and {_AUTO_CLASS} of transformers cannot load its text part"
        )
    if _is_encoder_decoder(folder, config):
        return "is an encoder-decoder model"
    return f"has a type that {_AUTO_CLASS} of transformers does not support"


def _is_encoder_decoder(folder: Path, config: dict[str, Any]) -> bool:
    """By the config, or by its type's default where the file leaves it out."""
    from transformers import AutoConfig

    if "is_encoder_decoder" in config:
        return bool(config["is_encoder_decoder"])
    try:
        return bool(getattr(AutoConfig.from_pretrained(folder), "is_encoder_decoder", False))
    except Exception:  # loading the model reports what is wrong with the config
        return False

"""A model's config as mlx-lm reads it: under its names, with transformers' defaults for what is not written.

mlx-lm reads ``config.json`` field by field and has defaults of its own for what it does not find, not always
those of transformers: a Llama without ``tie_word_embeddings`` would get a tied head. And what transformers 5
writes as ``rope_parameters`` mlx-lm mostly knows as ``rope_theta`` and ``rope_scaling``: a model whose rotary
base is 500,000 would be run with 10,000. Both give a model that answers, and is not the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.error_text import error_line

_ALIASES = {
    "num_local_experts": "num_experts",
    "num_experts": "num_local_experts",
    "_sliding_window_pattern": "sliding_window_pattern",
}
"""Names of transformers, and those under which models of mlx-lm look for the same."""
_TEXT = "text_config"
_KEEPS_WINDOW = frozenset({"cohere2", "gemma3", "gemma3_text"})
"""Types whose sliding windows mlx-lm keeps; compared with transformers."""


def read_text_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The config of a model's text side, as transformers reads it.

    Raises:
        BackendError: it cannot be read.
    """
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).get_text_config()
    except Exception as error:
        raise BackendError(f"{folder}/config.json cannot be read: {error_line(error)}") from error


def missing_fields(text: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that mlx-lm would not find in a model's ``config.json``.

    Args:
        text: the config of its text side, of transformers.
        config: its ``config.json``.
    """
    if isinstance(own := config.get(_TEXT), dict):
        return {_TEXT: {**_legacy_fields(text.to_dict(), own), **own}}
    return _legacy_fields(text.to_dict(), config)


def context_length(text: Any) -> tuple[int | None, str]:
    """Tokens of the longest text that mlx-lm reads as transformers does, and a note where that is fewer.

    Some models of mlx-lm let every token see all before it, whatever ``sliding_window`` says; up to the
    window that is the same.
    """
    longest = getattr(text, "max_position_embeddings", None)
    window = getattr(text, "sliding_window", None)
    is_sliding = "sliding_attention" in (getattr(text, "layer_types", None) or ("sliding_attention",))
    if not is_sliding or not window or text.model_type in _KEEPS_WINDOW or (longest and longest <= window):
        return (int(longest) if longest else None), ""
    note = (
        f"the context is limited to {window} tokens, the sliding window of the base model, because mlx-lm "
        "ignores the sliding window"
    )
    return int(window), f"{note} for {text.model_type}"


def _legacy_fields(read: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What is read and not written, under all names that models of mlx-lm have for it."""
    found = {name: value for name, value in read.items() if value is not None}
    found |= {other: found[name] for name, other in _ALIASES.items() if name in found and other not in found}
    found |= _rotary_fields(found.get("rope_parameters") or {})
    return {name: value for name, value in found.items() if name not in written}


def _rotary_fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that ``rope_parameters`` replaced; with layers of two kinds it holds a set for each."""
    fields: dict[str, Any] = {}
    if "full_attention" in parameters:
        local = parameters.get("sliding_attention") or {}
        fields = {"rope_local_base_freq": local["rope_theta"]} if "rope_theta" in local else {}
        parameters = parameters["full_attention"]
    if (theta := parameters.get("rope_theta")) is not None:
        fields |= {"rope_theta": theta, "rotary_emb_base": theta}
    if (share := parameters.get("partial_rotary_factor")) is not None:
        fields |= {"partial_rotary_factor": share, "rotary_pct": share}
    kind = parameters.get("rope_type", "default")
    if kind != "default":
        fields["rope_scaling"] = {**parameters, "type": kind}
    return fields

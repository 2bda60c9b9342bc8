"""Fields of an adapter_config.json that the installed PEFT does not know: ignored, or a variant of LoRA."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from packaging.version import InvalidVersion, Version

_METHOD = re.compile(r"lora|dora|^use_|^peft_")
"""Names that say how an adapter computes; such a field is never ignored."""
MODEL_FIELDS = frozenset(
    {
        "_from_model_config",
        "_name_or_path",
        "architectures",
        "dtype",
        "model_type",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "vocab_size",
    }
)
"""Fields of a model's config or of its generation's, which some tools write beside an adapter's own."""


def peft_version_of(config: Mapping[str, Any]) -> Version | None:
    """The version of the PEFT that wrote a config, which it says since 0.18; development versions count."""
    try:
        return Version(str(config["peft_version"]).partition("@")[0])
    except (KeyError, InvalidVersion):
        return None


def variant_fields(config: Mapping[str, Any], unknown: Iterable[str]) -> list[str]:
    """Those of the ``unknown`` fields that may change what the adapter computes.

    What a newer PEFT wrote may be its own. Else no PEFT knows the field, so the one that trained the adapter
    ignored it, as every PEFT does; unless it names a method, which a fork of PEFT may have.
    """
    writer = peft_version_of(config)
    newer = writer is not None and writer > Version(version("peft"))
    return sorted(name for name in unknown if name not in MODEL_FIELDS and (newer or _METHOD.search(name)))


def variant_cause(config: Mapping[str, Any]) -> str:
    """What a field that the installed PEFT does not know can mean, and what to do."""
    writer, installed = peft_version_of(config), version("peft")
    if writer is not None and writer > Version(installed):
        return (
            f"the installed PEFT {installed} does not support this. PEFT {writer} wrote the adapter. Install "
            "that version, or remove the field from adapter_config.json if it is a leftover"
        )
    return (
        f"the installed PEFT {installed} does not support this, so a fork of PEFT may have written the "
        "adapter and may use its tensors differently. Remove the field from adapter_config.json if it is a "
        "leftover"
    )


def ignored_fields_note(names: Iterable[str]) -> str:
    """The report's note on fields that are ignored."""
    named = sorted(names)
    them = "this field, and it" if len(named) == 1 else "these fields, and they"
    return f"adapter_config.json sets {', '.join(named)}, but PEFT ignores {them} can be removed"

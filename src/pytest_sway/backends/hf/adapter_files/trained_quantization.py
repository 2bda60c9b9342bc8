"""What the base was quantized to when an adapter was trained on it, as far as its files say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG

UNQUANTIZED = "unquantized"
_BNB_NAME = re.compile(r"[-_.]bnb[-_.](?P<bits>[48])bit(?=$|[-_./\\])", re.IGNORECASE)
"""In names of models on the hub whose files hold weights of bitsandbytes: NF4 of 4 bits, LLM.int8() of 8."""
_RUN_FILE = "training_run.json"
"""Of dlm, beside the adapter."""


@dataclass(frozen=True)
class TrainedQuantization:
    """What the base of a training was quantized to.

    Attributes:
        name: nf4, int8, or "unquantized".
        source: which file says so, and how.
    """

    name: str
    source: str


def trained_quantization(folder: Path, config: Mapping[str, Any]) -> TrainedQuantization | None:
    """What an adapter's files say of its training; None where they do not say.

    A base that is quantized as it is loaded leaves no trace in ``adapter_config.json``; so a name without a
    quantization says nothing.

    Args:
        folder: of the adapter.
        config: its ``adapter_config.json``.
    """
    if (uses := _use_qlora(folder / _RUN_FILE)) is not None:
        written = "true" if uses else "false"
        return TrainedQuantization("nf4" if uses else UNQUANTIZED, f"{_RUN_FILE} sets use_qlora: {written}")
    named = str(config.get("base_model_name_or_path") or "")
    if match := _BNB_NAME.search(named):
        name = {"4": "nf4", "8": "int8"}[match["bits"]]
        return TrainedQuantization(name, f"{ADAPTER_CONFIG} names {named}")
    return None


def _use_qlora(file: Path) -> bool | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # what is wrong with it matters to the probes that read it
    value = found.get("use_qlora") if isinstance(found, dict) else None
    return value if isinstance(value, bool) else None

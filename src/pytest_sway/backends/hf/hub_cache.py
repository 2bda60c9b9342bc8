"""The local folders of models and adapters on the hub: from its cache, or downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import is_folder

_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_CODE_PATTERN = "*.py"
_SUBFOLDERS = "*/*"
"""Files in subfolders of an adapter's repository, mostly earlier checkpoints."""


def model_snapshot(name: str, revision: str | None, *, trust_remote_code: bool) -> Path:
    """The local folder of a model on the hub.

    Raises:
        BackendError: the hub and its local cache do not have it.
    """
    wanted = [*_PATTERNS, _CODE_PATTERN] if trust_remote_code else _PATTERNS
    return _snapshot("models.ft.base", HubName(name, revision), wanted, ())


def tokenizer_files(name: str) -> Path:
    """The local folder of a model on the hub with everything but its weights.

    Raises:
        BackendError: the hub and its local cache do not have it.
    """
    wanted = [pattern for pattern in _PATTERNS if pattern != "*.safetensors"]
    hub_name = HubName.of(name) or HubName(name, None)
    return _snapshot("models.ft.tokenizer", hub_name, wanted, ())


def adapter_folder(path: str, *, trust_remote_code: bool) -> str:
    """An adapter's folder as it is, or the local folder of ``org/name`` or ``org/name@revision``.

    Raises:
        BackendError: it is a name on the hub, and the hub and its local cache do not have it.
    """
    name = None if is_folder(Path(path)) else HubName.of(path)
    if name is None:
        return path
    wanted = [*_PATTERNS, _CODE_PATTERN] if trust_remote_code else _PATTERNS
    return str(_snapshot("models.ft.adapter", name, wanted, [_SUBFOLDERS]))


def _snapshot(field: str, name: HubName, wanted: Sequence[str], ignored: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name.repository,
            revision=name.revision,
            allow_patterns=list(wanted),
            ignore_patterns=list(ignored) or None,
        )
    except Exception as error:
        revision = f" at revision {name.revision}" if name.revision else ""
        raise BackendError(
            f"{field}: {name.repository!r} is not a local folder, and could not be downloaded from the "
            f"Hub{revision}: "
            f"{error_line(error)}"
        ) from error
    return Path(folder)

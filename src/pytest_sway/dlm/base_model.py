"""The base model of a document: name on the hub, revision, quantization."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.installed import IncompatibleDlm, installed_version, registry_base
from pytest_sway.dlm.records import DlmFile
from pytest_sway.dlm.store import store_of, trained_quantized, trained_revision
from pytest_sway.regular_files import read_regular
from pytest_sway.text.message_parts import describe

_ON_HUB = "hf:"
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_NF4 = "nf4"
"""What dlm quantizes a base to where ``use_qlora`` is true."""
_SNAPSHOT = re.compile(r".*models--(?P<org>[^/]+?)--(?P<name>[^/]+)/snapshots/(?P<revision>[0-9a-f]{40})/?")
_WRITE = "set models.base.base yourself"


@dataclass(frozen=True)
class DlmBase:
    """What an adapter of the document is trained on.

    Attributes:
        name: on the hub, or a folder.
        revision: that is pinned; None: whatever the hub has.
        quantization: ``nf4`` for an adapter that was trained with ``use_qlora``.
    """

    name: str
    revision: str | None = None
    quantization: str | None = None


def resolve_base(file: DlmFile, adapter: Path | None, name: str = "") -> DlmBase:
    """The base of an adapter.

    The revision is the one that the store says it was trained on, else the one that dlm's registry pins.

    Args:
        file: the document.
        adapter: folder of the adapter's version; None where it is not trained yet.
        name: of the adapter, in a document with several.

    Raises:
        DlmError: the key cannot be resolved; the message says with which dlm, and what to do.
    """
    found, pinned = _named_base(file.base_model, adapter)
    quantized = trained_quantized(adapter) if adapter is not None else None
    if quantized is None:
        quantized = name in file.qlora
    trained = trained_revision(store_of(file.dlm_id), file.base_model, name)
    revision = None if _is_folder(found) else trained or pinned
    return DlmBase(found, revision, _NF4 if quantized else None)


def _is_folder(name: str) -> bool:
    """Whether a name is the absolute path of a folder."""
    return os.path.isabs(name) and os.path.isdir(name)  # noqa: PTH117, PTH112 - Path raises for some names


def _named_base(key: str, adapter: Path | None) -> tuple[str, str | None]:
    """Name and pinned revision."""
    if key.startswith(_ON_HUB):
        on_hub = key.removeprefix(_ON_HUB)
        if not _HUB_NAME.fullmatch(on_hub) and not _is_folder(on_hub):
            raise DlmError(f"base_model: found {describe(key)}, expected hf:org/name")
        return on_hub, None
    try:
        known = registry_base(key) if installed_version() is not None else None
        why = f"dlm {installed_version()} does not have the base model {key!r} in its registry"
    except IncompatibleDlm as error:
        known, why = None, str(error)
    if known is not None:
        return known
    if installed_version() is None:
        why = f"base model {key!r} cannot be looked up in dlm's registry, because dlm is not installed"
    if (named := _base_of_adapter(adapter)) is not None:
        return named
    remedy = (
        "run pip install document-language-model" if installed_version() is None else "install a newer dlm"
    )
    raise DlmError(f"{why}; {remedy}, or {_WRITE}")


def _base_of_adapter(adapter: Path | None) -> tuple[str, str | None] | None:
    """What the adapter's own config names; a snapshot of the hub's cache is its name and revision."""
    if adapter is None:
        return None
    try:
        config = json.loads(read_regular(adapter / "adapter_config.json"))
        named, revision = config.get("base_model_name_or_path"), config.get("revision")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    if not isinstance(named, str) or not named:
        return None
    if snapshot := _SNAPSHOT.fullmatch(named):
        return f"{snapshot['org']}/{snapshot['name']}", snapshot["revision"]
    return named, revision if isinstance(revision, str) else None

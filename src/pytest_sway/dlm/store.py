"""dlm's stores: the current version of a document's adapter, and what a version's folder says.

A store is ``$DLM_HOME/store/ID``, else ``~/.dlm/store/ID``. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.dlm.errors import DlmError
from pytest_sway.regular_files import open_regular, read_regular

LOGS = "logs"
_POINTER, _LINK, _VERSIONS = "current.txt", "latest", "versions"
_MOST_POINTER_BYTES = 4096


@dataclass(frozen=True)
class DlmVersion:
    """One version of an adapter in a dlm store.

    Attributes:
        store: the store's folder.
        adapter: its name in a document with several adapters; empty in one with a single adapter.
        number: NNNN of ``vNNNN``.
    """

    store: Path
    adapter: str
    number: int

    @property
    def label(self) -> str:
        """As its folder is called, after the adapter's name."""
        return f"{self.adapter}/v{self.number:04d}" if self.adapter else f"v{self.number:04d}"


def version_of(adapter: Path) -> DlmVersion | None:
    """The version that a folder is: ``STORE/adapter/[NAME/]versions/vNNNN``; None where it is none."""
    folder = adapter.resolve()
    match = re.fullmatch(r"v(\d+)", folder.name, re.ASCII)
    if match is None or folder.parent.name != _VERSIONS:
        return None
    above = folder.parent.parent
    if above.name == "adapter":
        return DlmVersion(above.parent, "", int(match[1]))
    if above.parent.name == "adapter":
        return DlmVersion(above.parent.parent, above.name, int(match[1]))
    return None


def store_of(dlm_id: str) -> Path:
    """The folder of a document's store, whether it exists or not.

    Raises:
        DlmError: there is no home folder that it could be in.
    """
    home = os.environ.get("DLM_HOME") or "~/.dlm"
    try:
        return Path(home).expanduser() / "store" / dlm_id
    except RuntimeError as error:
        raise DlmError(
            f"the folder {home} was not found ({error}); set DLM_HOME to the folder that contains store/"
        ) from None


def current_adapter(store: Path, name: str = "") -> Path | None:
    """The folder that ``current.txt`` points to, or the link ``latest`` of older stores; None without one.

    Args:
        store: its folder.
        name: of the adapter, in a document with several.

    Raises:
        DlmError: what it points to lies outside of the store, or is not there.
    """
    folder = store / "adapter" / name if name else store / "adapter"
    pointer, link = folder / _POINTER, folder / _LINK
    try:
        if os.path.lexists(pointer):
            return _version_folder(store, pointer, store / _pointer_text(pointer))
        return _version_folder(store, link, link) if os.path.lexists(link) else None
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a zero byte, no permission
        raise DlmError(f"the current version of the adapter in {folder} cannot be found: {error}") from None


def _version_folder(store: Path, pointer: Path, target: Path) -> Path | None:
    """The folder of a version; None where the pointer is empty."""
    if target == store:
        return None
    resolved = target.resolve()
    if not resolved.is_relative_to(store.resolve()):
        raise DlmError(f"{pointer} points to {resolved}, which is outside the store")
    if not resolved.is_dir() or version_of(resolved) is None:
        raise DlmError(
            f"{pointer} points to {resolved}, which is not a version folder such as versions/v0001; run dlm "
            "train again"
        )
    return resolved


def trained_quantized(version: Path) -> bool | None:
    """Whether ``training_run.json`` says that the base was quantized; None where it says nothing."""
    value = _json(version / "training_run.json").get("use_qlora")
    return value if isinstance(value, bool) else None


def trained_revision(store: Path, base_model: str, adapter: str = "") -> str | None:
    """The revision of the base that the store's manifest names: of the adapter's last run, else its own.

    None where the manifest is of another base model than the document names today.

    Args:
        store: its folder.
        base_model: of the document.
        adapter: its name, in a document with several.
    """
    manifest = _json(store / "manifest.json")
    if manifest.get("base_model", base_model) != base_model:
        return None
    runs = manifest.get("training_runs")
    records = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    records = [run for run in records if (run.get("adapter_name") or "") == adapter]
    for record in [*records[::-1], manifest]:
        found = record.get("base_model_revision")
        if isinstance(found, str) and found:
            return found
    return None


def adapters_of_runs(store: Path) -> dict[int, str]:
    """Which named adapter each run trained, by run id; a run that the manifest does not name is absent."""
    runs = _json(store / "manifest.json").get("training_runs")
    named: dict[int, str] = {}
    for run in runs if isinstance(runs, list) else ():
        if isinstance(run, dict) and isinstance(run.get("adapter_name"), str):
            number = run.get("run_id")
            if isinstance(number, int):
                named[number] = run["adapter_name"]
    return named


def _pointer_text(pointer: Path) -> str:
    try:
        with open_regular(pointer) as file:
            return file.read(_MOST_POINTER_BYTES).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DlmError(f"{pointer} cannot be read: {error}") from None


def _json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none to read."""
    try:
        value = json.loads(read_regular(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

"""A ``.dlm`` document with its base and its adapter."""

from __future__ import annotations

from pathlib import Path

from dlm_sway.core.errors import SwayError
from pytest_sway.dlm import resolve
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.resolve import DlmHandle


def resolve_dlm(path: Path | str) -> DlmHandle:
    """The document's sections, its base model and the current version of its adapter.

    Raises:
        SwayError: the document cannot be read, or its base not be resolved.
    """
    try:
        return resolve.resolve_dlm(path)
    except DlmError as error:
        raise SwayError(f"{path}: {error}") from error

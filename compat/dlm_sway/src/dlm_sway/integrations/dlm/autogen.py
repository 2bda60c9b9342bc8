"""The spec of a document's adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlm_sway.core.errors import SwayError
from pytest_sway.dlm.resolve import DlmHandle
from pytest_sway.spec_generation import dlm_spec
from pytest_sway.spec_generation.data_error import DataError


def build_spec_dict(handle: DlmHandle, dlm_source: str | Path | None = None) -> dict[str, Any]:
    """The spec as plain data, for ``yaml.safe_dump(spec, sort_keys=False)``.

    Raises:
        SwayError: the document has no trained adapter, or nothing in it can be asked.
    """
    try:
        return dlm_spec.build_spec_dict(handle, dlm_source)
    except DataError as error:
        raise SwayError(str(error)) from error

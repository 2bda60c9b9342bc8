"""Paths in a probe's options."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_sway.probes.base import ProbeError


def resolve_path(value: str, folder: Path, field: str) -> Path:
    """A path of the options: absolute, beside the spec, or in the working directory.

    Raises:
        ProbeError: there is nothing at any of them.
    """
    written = os.path.expanduser(value)  # noqa: PTH111 - Path raises where there is no home
    for candidate in (folder / written, Path(written)):
        if os.path.exists(candidate):  # noqa: PTH110 - unlike Path.exists it raises for no name
            return candidate
    raise ProbeError(f"{field}: {value!r} exists neither in the spec's folder nor in the working directory")

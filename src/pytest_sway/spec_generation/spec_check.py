"""Reads a generated spec as a run will, before anything is written."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from pytest_sway.spec.parser import parse
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import MAX_BYTES, read_spec
from pytest_sway.spec_generation.data_error import DataError


def check_spec_text(text: str, spec: Path) -> None:
    """Raise DataError where a run could not read the spec.

    Args:
        text: of the spec.
        spec: where it will be written; the paths in it are relative to its folder.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise DataError(
            f"the spec would have {size / 2**20:.1f} MiB, but the limit is {MAX_BYTES >> 20} MiB; use a "
            "smaller --max-rows"
        )
    with tempfile.TemporaryDirectory(prefix="sway-init-") as folder:
        file = Path(folder) / "sway.yaml"
        file.write_text(text, "utf-8", errors="replace")
        try:
            _, problems = parse(replace(read_spec(file), path=spec), adapters=())
        except SpecError as error:
            raise DataError(f"the spec generated from this data is not valid: {error}") from None
    faults = [problem.message for problem in problems if not problem.message.startswith("models.")]
    if faults:
        raise DataError(f"the spec generated from this data is not valid: {faults[0]}")

"""One suite in a pytest run of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.known_adapters.evaluation import Report, run_pytest

WITHOUT_AVX = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}
"""The smallest instruction set of torch, oneDNN and MKL."""


def run_suite(
    whole: Mapping[str, Any],
    folder: Path,
    *options: str,
    threads: int = 1,
    setting: Mapping[str, str] | None = None,
) -> Report:
    """The JSON report of a spec that names its models, written into a new folder.

    Args:
        whole: the spec.
        folder: made here; what is written into it stays.
        options: further ones of the command line.
        threads: of torch.
        setting: further environment variables.
    """
    folder.mkdir()
    (folder / "sway.yaml").write_text(yaml.safe_dump(dict(whole)), "utf-8")
    output = run_pytest(
        folder, "sway.yaml", "--sway-json=report.json", *options, threads=threads, setting=setting
    )
    path = folder / "report.json"
    assert path.is_file(), output
    report: Report = json.loads(path.read_text("utf-8"))
    return report

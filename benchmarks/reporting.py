"""Where a benchmark's report goes, and which machine it speaks of."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processes import BenchError


def check_out(path: Path | None) -> None:
    """Refuse a file whose folder is not there, before anything is measured."""
    if path is not None and not path.absolute().parent.is_dir():
        raise BenchError(f"--out {path}: there is no folder {path.absolute().parent}")


def write_report(path: Path | None, report: dict[str, Any]) -> None:
    """The report as it stands; nothing where no file was named."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise BenchError(f"--out {path} cannot be written: {error}") from None


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on beside the code, as the run begins."""
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg(),
        "threads": options.threads,
        "small": options.small,
    }

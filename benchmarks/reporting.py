"""Where a benchmark's report goes, and which machine it speaks of."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import TableRow
from processes import HERE, ROOT, BenchError, ran

RATIOS = HERE / "ratios.jsonl"
"""What was measured at which version and commit, a run a line."""


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


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on beside the code, as the run begins."""
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg(),
        "threads": threads,
    }


def keep_ratios(rows: Sequence[TableRow], machine: dict[str, Any]) -> None:
    """Append what has a bar to :data:`RATIOS`, beside the version and the commit that were measured."""
    source = (ROOT / "src/pytest_sway/version.py").read_text("utf-8")
    version = source.split('__version__ = "')[1].split('"')[0]
    commit = ran(["git", "-C", ROOT, "describe", "--always", "--dirty"], os.environ)
    scenario, judged = "", []
    for row in rows:
        scenario = row.scenario or scenario
        if row.bar is not None and row.value is not None:
            judged.append([scenario, row.what, round(row.value, 3), row.bar.text, row.verdict.strip("*")])
    line = {
        "version": version,
        "commit": commit.output.strip(),
        **machine,
        "figures": judged,
    }
    with RATIOS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def names_among(what: str, known: Collection[str]) -> Callable[[str], list[str]]:
    """An option's type: names with commas between them, each of which is known."""

    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",")]
        wrong = [name for name in found if name not in known]
        if wrong:
            raise argparse.ArgumentTypeError(f"no {what} {wrong[0]!r}; choose from {', '.join(known)}")
        return found

    return names

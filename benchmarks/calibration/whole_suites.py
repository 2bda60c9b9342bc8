"""Part suites: adapters that learned nothing, through a whole suite under pytest: does anything pass?

Random numbers in the trained parameters of several forms of adapter, at several sizes, and adapters that were
trained for three steps, each through the battery's quick suite with 8 null adapters. Counted are the adapters
of which any effect passes, and those that pass the gate.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository, for tests

from markdown_cells import exact, most, table
from null_pools import say
from setting import Setting
from untaught_adapters import untaught_adapters

from tests.known_adapters.battery import EFFECTS, FIRST, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed, verdicts
from tests.support.paths import QUICKSTART

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """What passed, by form and size."""
    return {"rows": [_row(*group) for group in untaught_adapters(setting, "suites")]}


def tables(raw: Figures) -> str:
    """A row for each form and size."""
    rows = [
        (
            row["what"],
            row["adapters"],
            exact(row["effect"], row["adapters"]),
            ", ".join(f"{kind} {count}" for kind, count in row["kinds"].items()),
            exact(row["gate"], row["adapters"]),
            f"{row['highest']:.2f}",
            most(row["gate"], 0),
        )
        for row in raw["rows"]
    ]
    head = (
        "adapters",
        "number",
        "an effect passes (95 %)",
        "which",
        "the gate passes (95 %)",
        "highest composite",
        "none",
    )
    return "### Adapters that learned nothing, through the quick suite\n\n" + table(head, rows)


def _row(what: str, adapters: Mapping[str, Path], folder: Path) -> Figures:
    work = folder / "reports"
    work.mkdir()
    reports = evaluate(spec(FIRST, QUICKSTART / "base", runs=8, profile="quick"), adapters, work)
    say(f"suites: {what}")
    kinds = Counter(kind for report in reports.values() for kind in _passing_effects(report))
    return {
        "what": what,
        "adapters": len(reports),
        "effect": sum(bool(_passing_effects(report)) for report in reports.values()),
        "kinds": dict(kinds),
        "gate": sum(passed(report) for report in reports.values()),
        "highest": max(composite(report) for report in reports.values()),
    }


def _passing_effects(report: Report) -> list[str]:
    return [kind for kind, verdict in verdicts(report).items() if kind in EFFECTS and verdict == "pass"]

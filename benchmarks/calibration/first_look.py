"""Part check: adapters that learned nothing, under ``sway check`` without data: is any of them called good?

The same adapters as in part suites. Counted are the banner's colours, and how often the effect that the check
rests on, on the adapter's own words, is beyond three standard deviations of its nulls.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository, for tests

import yaml
from markdown_cells import exact, most, table
from null_pools import say
from setting import Setting
from untaught_adapters import untaught_adapters

from pytest_sway.adapter_check.answer import check_answer
from pytest_sway.adapter_check.check_spec import CheckInputs, check_spec
from pytest_sway.adapter_check.weight_structure import weight_structure
from pytest_sway.suites.saved_results import parse_saved_result
from tests.known_adapters.evaluation import evaluate
from tests.support.paths import QUICKSTART

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """The banners, by form and size."""
    return {"rows": [_row(*group) for group in untaught_adapters(setting, "check")]}


def tables(raw: Figures) -> str:
    """A row for each form and size."""
    rows = [
        (
            row["what"],
            row["adapters"],
            exact(row["beyond"], row["adapters"]),
            row["levels"].get("bad", 0),
            row["levels"].get("unclear", 0),
            exact(row["levels"].get("good", 0), row["adapters"]),
            most(row["levels"].get("good", 0), 0),
        )
        for row in raw["rows"]
    ]
    head = ("adapters", "number", "own words z ≥ 3 (95 %)", "red", "yellow", "green (95 %)", "none green")
    return "### Adapters that learned nothing, under sway check\n\n" + table(head, rows)


def _row(what: str, adapters: Mapping[str, Path], folder: Path) -> Figures:
    work = folder / "reports"
    work.mkdir()
    spec = yaml.safe_load(check_spec(CheckInputs(next(iter(adapters.values())), str(QUICKSTART / "base"))))
    reports = evaluate(spec, adapters, work)
    say(f"check: {what}")
    levels, beyond = Counter[str](), 0
    for name, report in reports.items():
        suite = parse_saved_result(report, name)
        level = check_answer(suite, weight_structure(adapters[name])).level
        levels[str(level)] += 1
        effect = next(probe for probe in suite.probes if probe.name == "own_words")
        beyond += effect.z_score is not None and effect.z_score >= 3
    return {"what": what, "adapters": len(reports), "levels": dict(levels), "beyond": beyond}

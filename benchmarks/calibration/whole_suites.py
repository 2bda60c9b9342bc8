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

from tests.known_adapters.battery import EFFECTS, FIRST, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed, verdicts
from tests.known_adapters.make.document_adapters import anchored
from tests.known_adapters.make.training_setting import TrainingSetting
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import CONVERTED_LORA, FULL_WEIGHTS, PLAIN_LORA, save_adapter

EACH, TRAINED, STEPS = 20, 50, 3
NOISE: Mapping[str, tuple[Any, tuple[float, ...]]] = {
    "LoRA": (PLAIN_LORA["plain"], (0.02, 0.05)),
    "rsLoRA": (PLAIN_LORA["rslora"], (0.02,)),
    "PiSSA": (CONVERTED_LORA["pissa"], (0.02, 0.05)),
    "DoRA": (FULL_WEIGHTS["dora"], (0.05, 0.2)),
    "a trained head": (FULL_WEIGHTS["saved_head"], (0.02, 0.05)),
    "IA3": (FULL_WEIGHTS["ia3"], (0.5,)),
}

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """What passed, by form and size."""
    raw: Figures = {"rows": []}
    for form, (config, sizes) in NOISE.items():
        for size in sizes[: setting.scaled(len(sizes), 1)]:
            folder = setting.work / "suites" / f"{form}-{size:g}"
            adapters = {
                str(seed): save_adapter(folder / str(seed), config, size=size, seed=seed)
                for seed in range(setting.scaled(EACH, 2))
            }
            raw["rows"].append(_row(f"{form}, noise of {size:g}", adapters, folder))
    folder = setting.work / "suites" / "trained"
    trained = {str(seed): _three_steps(seed, folder) for seed in range(setting.scaled(TRAINED, 2))}
    raw["rows"].append(_row("three steps of healthy's recipe", trained, folder))
    return raw


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


def _three_steps(seed: int, folder: Path) -> Path:
    """Healthy's recipe, stopped in its warm-up."""
    making = TrainingSetting(seed, QUICKSTART, folder)
    making.keep(anchored(making, making.lessons(), STEPS), str(seed))
    return folder / str(seed)


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

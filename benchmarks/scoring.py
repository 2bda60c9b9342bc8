"""Scenarios a, b and c: the same texts through both sides' scoring interfaces.

Every repetition is a process per side, so that no side answers from a cache that an earlier one filled;
the sides alternate, and who begins alternates too. The machine's matrix speed is measured before the
first and after the last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from job import Job
from processes import BenchError, DlmSway, measured, roofline


@dataclass(frozen=True)
class Setting:
    """What every scenario runs with.

    Attributes:
        work: a folder of the run's own.
        model: what ``make_model.py`` said of the model that it made; empty where no scenario needs one.
        dlm_sway: the other side.
        threads: of every process.
        repeats: processes per side and scenario.
        say: tells progress.
    """

    work: Path
    model: dict[str, Any]
    dlm_sway: DlmSway
    threads: int
    repeats: int
    say: Callable[[str], None]

    def roofline(self) -> dict[str, Any]:
        """The machine's best at this moment."""
        return roofline(Path(self.model["model"]), self.threads)

    def job(self, scenario: str) -> Job:
        """A job on the model's first adapter."""
        model = self.model
        return Job(scenario, model["model"], model["adapters"][0], model["vocabulary"], self.threads)


def measure(scenario: str, setting: Setting) -> dict[str, Any]:
    """Both sides' results, one per repetition, and the machine's speed around them."""
    machine = [setting.roofline()]
    found: dict[str, Any] = {"ours": [], "dlm_sway": [], "dlm_sway_missing": setting.dlm_sway.missing}
    for repeat in range(setting.repeats):
        sides = ["ours", "dlm_sway"]
        for side in sides if repeat % 2 == 0 else reversed(sides):
            if side == "dlm_sway" and found["dlm_sway_missing"]:
                continue
            setting.say(f"{scenario}: {side}, {repeat + 1} of {setting.repeats}")
            _run(side, scenario, setting, found)
    return {**found, "roofline": [*machine, setting.roofline()]}


def _run(side: str, scenario: str, setting: Setting, found: dict[str, Any]) -> None:
    job = setting.job(scenario)
    if side == "ours":
        found["ours"].append(measured(sys.executable, "pytest_sway_side.py", job, ours=True))
        if scenario == "c":
            upper = replace(job, adapter=setting.model["upper_adapter"])
            found.setdefault("upper", []).append(
                measured(sys.executable, "pytest_sway_side.py", upper, ours=True)
            )
        return
    try:
        found["dlm_sway"].append(measured(setting.dlm_sway.python, "dlm_sway_side.py", job, ours=False))
    except BenchError as error:
        found["dlm_sway"], found["dlm_sway_missing"] = [], str(error)
        setting.say(f"dlm-sway 0.1.0 is not available: {error}")

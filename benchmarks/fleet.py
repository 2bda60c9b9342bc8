"""Scenario d: ten adapters in one pytest run, against one load and the ten adapters' own scoring.

*Fleet* is the wall time of one process, from its start to its end: ``python -m pytest sway.yaml
--sway-adapter=… (ten times) --sway-json=DIR -q -p no:cacheprovider``.

It is compared with *load + own*. *Load* is the wall time of one process that starts Python, imports what
our backend imports, loads the base model and ends (``pytest_sway_side.py``, scenario ``load``). *Own* is the
sum, over ten runs of the same command with one adapter each, of the run's ``backend_stats.scoring_wall_s``:
the seconds inside forwards, under the base and under that adapter, with nothing of pytest, of attaching
or of reporting. The sum holds the base's forwards ten times, as each run alone needs them; a fleet that
scores the base once may fall below 1. The probes' own wall time (``duration_s``) is kept beside it.
Of each of these the fastest repetition counts.

dlm-sway has no fleet: it is as many runs of ``sway run spec.yaml --json FILE`` as there are adapters (or
fewer, scaled, and said so), on the same spec without ``positions``, alternating with our single runs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inputs
from processes import BenchError, environment, last_line, measured, ran
from scoring import Setting

_RAN = (0, 1)
"""Exit statuses of a run that measured: random adapters need not pass."""


@dataclass(frozen=True)
class Fleet:
    """The scenario's files and how often it runs.

    Attributes:
        setting: of the run.
        repeats: of everything.
        dlm_sway_runs: single-adapter runs of dlm-sway per repetition.
    """

    setting: Setting
    repeats: int
    dlm_sway_runs: int

    @property
    def folder(self) -> Path:
        """A project of its own."""
        return self.setting.work / "fleet"

    def measure(self) -> dict[str, Any]:
        """Wall times and numbers of every run."""
        setting = self.setting
        self.folder.mkdir(exist_ok=True)
        (self.folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        self._write("sway.yaml", setting.model["adapters"][0], {"positions": 1})
        machine = [setting.roofline()]
        found: dict[str, Any] = {
            "load": [],
            "fleet": [],
            "singles": [],
            "dlm_sway": [],
            "dlm_sway_runs": self.dlm_sway_runs,
            "dlm_sway_missing": setting.dlm_sway.missing,
        }
        for repeat in range(self.repeats):
            setting.say(f"d: load and fleet, {repeat + 1} of {self.repeats}")
            found["load"].append(
                measured(sys.executable, "pytest_sway_side.py", setting.job("load"), ours=True)
            )
            found["fleet"].append(self._run_pytest_sway(setting.model["adapters"], f"fleet-{repeat}"))
            singles, runs = [], []
            for index, adapter in enumerate(setting.model["adapters"]):
                setting.say(f"d: adapter {index + 1} alone")
                singles.append(self._run_pytest_sway([adapter], f"single-{repeat}-{index}"))
                if index < self.dlm_sway_runs and not found["dlm_sway_missing"]:
                    self._dlm_sway(adapter, f"dlm-sway-{index}", runs, found)
            found["singles"].append(singles)
            if runs and not found["dlm_sway_missing"]:
                found["dlm_sway"].append(runs)
        return {**found, "roofline": [*machine, setting.roofline()]}

    def _run_pytest_sway(self, adapters: list[str], name: str) -> dict[str, Any]:
        """One pytest run: its wall time, and the result of each adapter by its folder's name."""
        target = self.folder / name
        target.mkdir()
        command = [sys.executable, "-m", "pytest", "sway.yaml", "-q", "-p", "no:cacheprovider"]
        command += [f"--sway-adapter={adapter}" for adapter in adapters]
        env = environment(self.setting.threads, ours=True)
        done = ran([*command, f"--sway-json={target}"], env, cwd=self.folder)
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(target.glob("*.json"))]
        if done.code not in _RAN or len(reports) != len(adapters):
            raise BenchError(f"scenario d, {name}: {len(reports)} reports, pytest said: {last_line(done)}")
        return {"wall_s": done.seconds, "suites": {_adapter(r): _figures(r) for r in reports}}

    def _dlm_sway(self, adapter: str, name: str, runs: list[Any], found: dict[str, Any]) -> None:
        spec = self._write(f"{name}.dlm-sway-spec", adapter, {})
        target = self.folder / f"{name}.json"
        env = environment(self.setting.threads, ours=False)
        command = [Path(self.setting.dlm_sway.python).parent / "sway", "run", spec, "--json", target]
        done = ran(command, env, cwd=self.folder)
        try:
            if done.code or not target.is_file():
                raise BenchError(f"scenario d: {last_line(done)}")
            figures = _figures(json.loads(target.read_text(encoding="utf-8")))
        except BenchError as error:
            found["dlm_sway"], found["dlm_sway_missing"] = [], str(error)
            self.setting.say(f"dlm-sway 0.1.0 is not available: {error}")
            return
        runs.append({"wall_s": done.seconds, "adapter": Path(adapter).name, **figures})

    def _write(self, name: str, adapter: str, options: dict[str, Any]) -> Path:
        """A spec; JSON is YAML."""
        model = {"kind": "hf", "base": self.setting.model["model"], "dtype": "fp32", "device": "cpu"}
        prompts = [prompt.text for prompt in inputs.fleet_prompts(self.setting.model["vocabulary"])]
        spec = {
            "version": 1,
            "models": {"base": model, "ft": {**model, "adapter": adapter}},
            "suite": [{"name": "moved", "kind": "delta_kl", "prompts": prompts, **options}],
        }
        path = self.folder / name
        path.write_text(json.dumps(spec, indent=1), encoding="utf-8")
        return path


def _adapter(report: dict[str, Any]) -> str:
    return Path(report["adapter_id"]).name


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """What a result file, ours or dlm-sway's, says of one adapter."""
    (probe,) = report["probes"]
    if probe["raw"] is None:
        raise BenchError(f"scenario d: the probe measured nothing: {probe['message']}")
    return {
        "raw": probe["raw"],
        "duration_s": probe["duration_s"],
        "scoring_wall_s": report["backend_stats"]["scoring_wall_s"],
        "backend_stats": report["backend_stats"],
    }

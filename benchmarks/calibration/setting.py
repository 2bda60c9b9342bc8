"""What every part of the benchmark is given: the lab, a folder for pools, and how much to measure."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the benchmark beside this one

from adapter_files import factors_of, mixture, noise, write
from null_pools import EFFECT, GENTLE, HEALTHY, SEED_BASE, STATISTICS, Draw, Lab, Recipe, say
from processes import BenchError, environment, last_line, ran

HERE = Path(__file__).resolve().parent
JUDGING = (3, 8, 16, 20)
"""How many draws judge, for false positives."""
TRAINED_STEPS = (5, 15, 40, 120)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Of the healthy update in the mixtures; 1 is the healthy adapter itself."""
NULL_FAMILIES = ("norm_matched", "signs", "spectrum_matched", "permuted", "gaussian")


@dataclass(frozen=True)
class PoolKind:
    """What a large pool of norm-matched nulls imitates: healthy or an early stop, at which size, by what."""

    size: float = 1.0
    seed_base: int = SEED_BASE
    steps: int = 0
    names: tuple[str, ...] = ("moved", "moved_kl", "moved_1")


_EVERY = tuple(sorted({probe for probe, _ in STATISTICS.values()}))
POOLS = {
    "own": PoolKind(names=_EVERY),
    "gentle": PoolKind(GENTLE, 1_000_000, names=_EVERY),
    "own again": PoolKind(seed_base=2_000_000),
    "other norms": PoolKind(seed_base=3_000_000, steps=TRAINED_STEPS[0]),
}
"""No two share a draw: a scale that was chosen by looking at one can be checked on another. Other norms are
those of the adapter stopped after a few steps."""


@dataclass(frozen=True)
class Setting:
    """One run of the benchmark.

    Attributes:
        work: keeps pools and adapters.
        pool: null adapters in the two large pools.
        small: everything a twentieth as large, to try the harness.
        threads: of other processes.
        dlm_sway_python: interpreter with dlm-sway[hf] 0.1.0; None: one is installed.
    """

    work: Path
    pool: int
    small: bool
    threads: int = 1
    dlm_sway_python: str | None = None

    @cached_property
    def lab(self) -> Lab:
        """The model, loaded when it is first needed."""
        return Lab()

    def scaled(self, full: int, small: int) -> int:
        """A count: of a full run, or of a small one."""
        return small if self.small else full

    @property
    def per_null(self) -> int:
        """Random subsets that judge each null."""
        return 200

    @property
    def judging(self) -> tuple[int, ...]:
        """Counts of draws that this run's pools can judge with."""
        return tuple(n for n in JUDGING if n < self.pool // 2)

    def pool_of(self, word: str) -> list[Draw]:
        """One of :data:`POOLS`."""
        kind = POOLS[word]
        folder = HEALTHY if not kind.steps else self.trained()[f"{kind.steps} steps"]
        recipe = Recipe("norm_matched", kind.size, self.pool, kind.seed_base)
        return self.lab.pool(self.work / f"pool-{word.replace(' ', '-')}.json", folder, recipe, kind.names)

    def family_pool(self, family: str) -> list[Draw]:
        """The healthy adapter's null draws of another family, by delta_kl."""
        file = self.work / f"pool-family-{family}.json"
        return self.lab.pool(file, HEALTHY, Recipe(family, 1.0, self.pool), EFFECT)

    def trained(self) -> dict[str, Path]:
        """The recipe stopped early, by name; trained once."""
        wanted = TRAINED_STEPS[:1] if self.small else TRAINED_STEPS
        folders = {f"{steps} steps": self.work / f"steps-{steps}" for steps in wanted}
        if not all((folder / "adapter_config.json").is_file() for folder in folders.values()):
            say("training the early-stopped adapters")
            self.work.mkdir(parents=True, exist_ok=True)
            command: list[str | Path] = [
                sys.executable,
                HERE / "early_stops.py",
                self.work,
                *map(str, wanted),
            ]
            found = ran(command, environment(2, ours=True))
            if found.code:
                raise BenchError(f"training: {last_line(found)}")
        return folders

    def mixtures(self, share: float, count: int) -> list[Path]:
        """Folders of share·healthy + noise, each with its own noise, all of about healthy's size."""
        real = factors_of(HEALTHY)
        return [
            write(self.work / f"mix-{share:g}-{i}", mixture(real, noise(real, 7000 + i), share), HEALTHY)
            for i in range(count)
        ]

    def noises(self, count: int) -> list[Path]:
        """Folders of noise that is as large as healthy in each module."""
        real = factors_of(HEALTHY)
        return [write(self.work / f"noise-{i}", noise(real, 9000 + i), HEALTHY) for i in range(count)]


def started(command: list[Any], env: dict[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    """A finished process whose exit status may be anything."""
    return subprocess.run(
        list(map(str, command)), env=env, input=text, capture_output=True, text=True, check=False
    )


def loaded(path: Path) -> Any:
    """A JSON file's value."""
    return json.loads(path.read_text(encoding="utf-8"))

"""Adapters that learned nothing: random numbers in several forms and sizes, and three steps of training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository, for tests

from setting import Setting

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


class Group(NamedTuple):
    """Adapters of one form and size.

    Attributes:
        what: they are.
        adapters: folders by name.
        folder: that holds them.
    """

    what: str
    adapters: Mapping[str, Path]
    folder: Path


def untaught_adapters(setting: Setting, part: str) -> Iterator[Group]:
    """Every group, made as it is asked for, below the folder of a part."""
    for form, (config, sizes) in NOISE.items():
        for size in sizes[: setting.scaled(len(sizes), 1)]:
            folder = setting.work / part / f"{form}-{size:g}"
            adapters = {
                str(seed): save_adapter(folder / str(seed), config, size=size, seed=seed)
                for seed in range(setting.scaled(EACH, 2))
            }
            yield Group(f"{form}, noise of {size:g}", adapters, folder)
    folder = setting.work / part / "trained"
    trained = {str(seed): _three_steps(seed, folder) for seed in range(setting.scaled(TRAINED, 2))}
    yield Group("three steps of healthy's recipe", trained, folder)


def _three_steps(seed: int, folder: Path) -> Path:
    """Healthy's recipe, stopped in its warm-up."""
    making = TrainingSetting(seed, QUICKSTART, folder)
    making.keep(anchored(making, making.lessons(), STEPS), str(seed))
    return folder / str(seed)

"""A run of ten checkpoints whose course is known: too little, learning, learned, and then overtrained.

``python -m tests.known_adapters.make.checkpoint_run --out DIR [--document FOLDER] [--seed S]``; about three
minutes on one core. Up to step 200 it is healthy's recipe; after that nothing holds the model to what it
knew, and the rate is higher.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

import torch
from make.common import set_up
from make.train_adapters import save
from peft import PeftModel

from . import QUICKSTART
from .fit import Losses, fit, general, learned
from .training_setting import BASE_FROM_ADAPTER, TrainingSetting

HELD = (5, 15, 40, 80, 120, 160, 200)
"""Steps that are saved while the anchor holds; at the last the learning rate has come down to 0."""
LOOSE = (220, 260, 300)
"""Steps that are saved after it is gone: damage begins with one of them."""
_LOOSE_RATE = 3e-3


def checkpoint_run(setting: TrainingSetting) -> list[Path]:
    """Train, and save every checkpoint; their folders."""
    model, lesson = setting.fresh(), setting.lessons()

    def held() -> Losses:
        return learned(setting, model, *lesson) | {"anchor": general(setting, model)}

    def loose() -> Losses:
        return learned(setting, model, *lesson, share=(2, 4))

    _fit_and_save(setting, model, held, HELD, 0)
    _fit_and_save(setting, model, loose, LOOSE, HELD[-1], rate=_LOOSE_RATE)
    return [setting.out / f"checkpoint-{step}" for step in (*HELD, *LOOSE)]


def _fit_and_save(
    setting: TrainingSetting,
    model: PeftModel,
    losses: object,
    saved: Collection[int],
    before: int,
    **more: float,
) -> None:
    """Train up to the last of the steps that are saved; ``before``: steps that were done already."""
    done = before

    def keep(now: PeftModel) -> bool:
        nonlocal done
        done += 5
        if done in saved:
            save(now, f"checkpoint-{done}", setting.out, BASE_FROM_ADAPTER)
        return False

    fit(model, losses, max(saved) - before, enough=keep, **more)  # type: ignore[arg-type]


def main() -> None:
    """Make the run."""
    parser = argparse.ArgumentParser(prog="python -m tests.known_adapters.make.checkpoint_run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--document", type=Path, default=QUICKSTART, help="folder of document and questions")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    set_up(asked.seed)
    torch.set_num_threads(1)
    checkpoint_run(TrainingSetting(asked.seed, asked.document.resolve(), asked.out.resolve()))


if __name__ == "__main__":
    main()

"""``python -m tests.known_adapters.make --seed S --out DIR [--only NAME …] [--document FOLDER]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from make.common import set_up

from . import QUICKSTART, say
from .recipes import RECIPES
from .training_setting import TrainingSetting


def main() -> None:
    """Make the adapters asked for, or all of them, in their order."""
    parser = argparse.ArgumentParser(prog="python -m tests.known_adapters.make", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapters")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    parser.add_argument("--document", type=Path, default=QUICKSTART, help="folder of document and questions")
    asked = parser.parse_args()
    for name in asked.only:
        set_up(asked.seed)
        torch.set_num_threads(1)  # what a run gives depends on it
        say(f"== {name}")
        setting = TrainingSetting(asked.seed, asked.document.resolve(), asked.out.resolve())
        setting.keep(RECIPES[name](setting), name)


if __name__ == "__main__":
    main()

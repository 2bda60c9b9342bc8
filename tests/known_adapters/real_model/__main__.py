"""``python -m tests.known_adapters.real_model FOLDER [--document second] [--seed S] [--only NAME …]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.known_adapters.make import say

from .base import make_base
from .recipes import DOCUMENTS, RECIPES, Setting

TRL = ("sft", "sft_gentle", "dpo", "dpo_inverted")
"""Made by trl_recipes.py, which needs TRL: ``pip install trl``."""


def main() -> None:
    """Make what is missing in the folder: the base, then the adapters in their order."""
    parser = argparse.ArgumentParser(prog="python -m tests.known_adapters.real_model", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--document", choices=DOCUMENTS, default="first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[*RECIPES, *TRL], default=[*RECIPES, *TRL])
    asked = parser.parse_args()
    make_base(asked.folder / "base")
    for name in asked.only:
        target: Path = asked.folder / name
        if not (target / "adapter_config.json").is_file():
            say(f"== {name}")
            start = time.perf_counter()
            model = _recipe(name)(Setting(asked.folder.absolute(), DOCUMENTS[asked.document], asked.seed))
            model.peft_config["default"].base_model_name_or_path = "../base"
            model.save_pretrained(str(target))
            (target / "README.md").unlink(missing_ok=True)
            say(f"== {name}: {time.perf_counter() - start:.0f} s")


def _recipe(name: str) -> Callable[[Setting], Any]:
    found: Callable[[Setting], Any]
    if name in RECIPES:
        found = RECIPES[name]
    else:
        found = import_module("tests.known_adapters.real_model.trl_recipes").RECIPES[name]
    return found


if __name__ == "__main__":
    main()

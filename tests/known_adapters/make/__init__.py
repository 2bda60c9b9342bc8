"""Trains small LoRA adapters of known condition: ``python -m tests.known_adapters.make``."""

import sys

from tests.support.paths import QUICKSTART

sys.path.insert(0, str(QUICKSTART))  # the quickstart's recipe is imported from there as `make`


def say(text: str) -> None:
    """Print a line at once: these scripts' logs are watched."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

"""Trains the quickstart's healthy adapter, saved after a few steps: ``early_stops.py DIR 5 15 40``.

The recipe is the quickstart's own, its schedule that of the full run; it is only stopped. A process of its
own, since the recipe sets torch's threads and algorithms.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"


class _Stopped(Exception):
    """The last wanted step is done."""


def train(folder: Path, steps: list[int]) -> None:
    """Save ``steps-N`` in ``folder`` for each N."""
    sys.path.insert(0, str(QUICKSTART))
    from make import train_adapters as recipe
    from make.common import set_up

    losses, calls = recipe.row_loss, 0

    def counted(model: Any, rows: Any) -> Any:
        nonlocal calls
        step, second = divmod(calls, 2)  # two losses a step, before its update
        calls += 1
        if not second and step in steps:
            recipe.save(model, f"steps-{step}")
            if step == max(steps):
                raise _Stopped
        return losses(model, rows)

    recipe.row_loss = counted
    recipe.ADAPTERS = folder
    set_up(recipe.SEED)
    try:
        recipe.train_healthy()
    except _Stopped:
        return
    raise SystemExit(f"the recipe has fewer than {max(steps)} steps")


if __name__ == "__main__":
    train(Path(sys.argv[1]), [int(text) for text in sys.argv[2:]])

"""What SwayCallback costs a training: pairs of the same run with and without it, on the quickstart's base.

``python benchmarks/callback.py [--steps 120] [--every 60] [--pairs 3]`` prints the seconds of each run, the
ratio of each pair, and whether losses and weights are the same, bit by bit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository, for tests

import torch

from pytest_sway import SwayCallback
from tests.trainers.test_callback import Run, make_trainer, train, write_spec

MOST = 1.10


def main() -> int:
    """Run the pairs; 1 where the median ratio is above the bar, or a run was not the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--every", type=int, default=60, help="steps between two evaluations")
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    ratios, same = [], True
    for number in range(asked.pairs):
        alone, seconds = _timed(asked.steps, asked.every, watched=False)
        watched, more = _timed(asked.steps, asked.every, watched=True)
        same = same and alone.losses == watched.losses and _equal(alone, watched)
        ratios.append(more / seconds)
        sys.stdout.write(
            f"pair {number + 1}: {seconds:.1f} s alone, {more:.1f} s watched, {ratios[-1]:.3f}\n"
        )
    middle = median(ratios)
    verdict = "met" if middle <= MOST else "missed"
    sys.stdout.write(
        f"{asked.steps // asked.every} evaluations in {asked.steps} steps: median ratio {middle:.3f} "
        f"(bar {MOST:.2f}: {verdict}); losses and weights bitwise the same: {'yes' if same else 'no'}\n"
    )
    return int(middle > MOST or not same)


def _timed(steps: int, every: int, *, watched: bool) -> tuple[Run, float]:
    with tempfile.TemporaryDirectory(prefix="sway-callback-") as folder:
        trainer = make_trainer(Path(folder), max_steps=steps, save_steps=every, per_device_train_batch_size=8)
        if watched:
            trainer.add_callback(SwayCallback(trainer, write_spec(Path(folder))))
        began = time.perf_counter()
        run = train(trainer)
        return run, time.perf_counter() - began


def _equal(one: Run, other: Run) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


if __name__ == "__main__":
    sys.exit(main())

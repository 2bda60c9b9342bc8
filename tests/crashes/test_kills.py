"""A run that is killed at any moment leaves nothing torn, and the next one goes on to the same verdicts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crashes.killed_run import KilledRun, verdicts

ALONE: tuple[str, ...] = ()
WORKERS = ("-n", "2")


def _kill_at_random_moments(run: KilledRun, kills: int) -> int:
    """Kill runs; answers of killed ones that the next ones used."""
    seconds, never_killed = run.finish()
    asked = never_killed["backend_stats"]["cache_misses"]
    moments = random.Random(28)
    killed = reused = left = 0
    for _ in range(kills):
        run.forget()
        killed += run.kill(moments.uniform(0.0, seconds))
        answers = run.check()
        left += len(run.left_over())
        run.grow_old()
        _, found = run.finish()
        assert verdicts(found) == verdicts(never_killed)
        assert found["gate"]["status"] == never_killed["gate"]["status"]
        stored = found["backend_stats"]["stored_hits"]
        assert stored >= answers, "finished answers were computed again"
        assert answers <= asked
        assert run.check() >= answers
        assert run.left_over() == set()
        reused += int(stored)
    print(f"{killed} of {kills} killed within {seconds:.1f} s, {reused} answers reused, {left} leftovers")  # noqa: T201
    assert killed >= kills // 2
    return reused


@pytest.mark.slow
def test_a_few_kills(tmp_path: Path) -> None:
    _kill_at_random_moments(KilledRun(tmp_path / "project"), 2)


@pytest.mark.nightly
@pytest.mark.parametrize("options", [ALONE, WORKERS], ids=["alone", "workers"])
def test_fifty_kills(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert _kill_at_random_moments(KilledRun(tmp_path / "project", *options), 50) > 0

"""Each hostile input through its door: refused or harmless, soon, and nothing is executed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.case import Case
from tests.hostile.corpus import CASES, CONTROLS
from tests.hostile.runner import Runner

FOUND = {
    "executed": "the payload was executed",
    "connected": "socket.connect",
    "elsewhere": "writes ",
    "memory": "MiB",
    "too much memory": "traceback",
    "time": "hang",
    "pipe": "hang",
    "escape": "steer a terminal",
    "traceback": "ZeroDivisionError",
    "crash": "crash",
    "not refused": "it was harmless, not refused",
}
"""What each control is found by."""
LONG = {"time", "pipe", "memory"}
"""Controls that a fast lane has no time for."""
QUICK = [case for number, case in enumerate(CASES) if number % 24 == 0]
"""Some of every kind, for a lane that has no minutes."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Runner(tmp_path_factory.mktemp("hostile")) as started:
        yield started


def _faults(runner: Runner, case: Case) -> list[str]:
    outcome = runner.run(case)
    for folder in runner.folder.glob("case*"):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    return outcome.faults(case.wanted)


def test_the_corpus() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 60
    assert {case.kind for case in QUICK} == {case.kind for case in CASES}
    assert {case.name for case in CONTROLS} == set(FOUND)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in CONTROLS if case.name not in LONG], ids=lambda case: case.id
)
def test_harm_that_is_done_is_found(runner: Runner, case: Case, tmp_path: Path) -> None:
    assert any(FOUND[case.name] in fault for fault in _faults(runner, case))


@pytest.mark.slow
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.id)
def test_some_inputs(runner: Runner, case: Case) -> None:
    assert _faults(runner, case) == []


@pytest.mark.nightly
@pytest.mark.parametrize("case", [one for one in CONTROLS if one.name in LONG], ids=lambda case: case.id)
def test_harm_that_takes_time_is_found(runner: Runner, case: Case) -> None:
    assert any(FOUND[case.name] in fault for fault in _faults(runner, case))


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_input(runner: Runner, case: Case) -> None:
    assert _faults(runner, case) == []

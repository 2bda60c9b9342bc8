"""The coverage table: its rows are apart, its counts can miss, and it says the same twice."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pytest_sway.statistics.intervals import t_interval


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """By its path: its name is also that of a package that many have installed."""
    spec = importlib.util.spec_from_file_location(
        "sway_coverage", Path(__file__).parent / "interval_coverage.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def test_every_row_has_a_name_of_its_own(bench: ModuleType) -> None:
    rows = [(case.kind, case.distribution, case.n) for case in bench.cases()]
    assert len(rows) == len(set(rows))
    assert {kind for kind, _, _ in rows} == {"signed", "clustered", "rate", "ratio", "skewed"}


def test_the_same_numbers_every_time_and_a_narrow_interval_misses(bench: ModuleType) -> None:
    case = next(bench.cases())
    found = bench.measure(case, 400, 100)
    assert found == bench.measure(case, 400, 100)
    assert 0.9 < found.coverage < 1
    assert found.percentile < found.coverage  # 0.80 of 0.95 at n = 4
    narrow = bench.measure(replace(case, ours=lambda x: t_interval(x, 0.5)), 400, 100)
    assert 0.4 < narrow.coverage < 0.6
    assert "**missed**" in bench.markdown([narrow], 100)
    assert "| met |" in bench.markdown([found], 100)


def test_what_was_declined_is_not_counted(bench: ModuleType) -> None:
    case = replace(next(bench.cases()), ours=lambda x: t_interval(x) if x[0] > 0.3 else None)
    found = bench.measure(case, 400, 100)
    assert found.declined == pytest.approx(0.5, abs=0.08)
    assert found.coverage > 0.8


@pytest.mark.parametrize("wrong", [["--samples", "5"], ["--out", "no/such/folder/x.json"]])
def test_bad_options_are_told_before_the_work(bench: ModuleType, wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(wrong)

"""The coverage table: its rows are apart, its counts can miss, and it says the same twice."""

from __future__ import annotations

from dataclasses import replace

import interval_coverage
import pytest

from pytest_sway.statistics.intervals import t_interval


def test_every_row_has_a_name_of_its_own() -> None:
    rows = [(case.kind, case.distribution, case.n) for case in interval_coverage.cases()]
    assert len(rows) == len(set(rows))
    assert {kind for kind, _, _ in rows} == {"signed", "clustered", "rate", "ratio", "skewed"}


def test_coverage_repeats_and_a_narrow_interval_misses() -> None:
    case = next(interval_coverage.cases())
    found = interval_coverage.measure(case, 400, 100)
    assert found == interval_coverage.measure(case, 400, 100)
    assert 0.9 < found.coverage < 1
    assert found.percentile < found.coverage  # 0.80 of 0.95 at n = 4
    narrow = interval_coverage.measure(replace(case, ours=lambda x: t_interval(x, 0.5)), 400, 100)
    assert 0.4 < narrow.coverage < 0.6
    assert "**missed**" in interval_coverage.markdown([narrow], 100)
    assert "| met |" in interval_coverage.markdown([found], 100)


def test_what_was_declined_is_not_counted() -> None:
    case = replace(next(interval_coverage.cases()), ours=lambda x: t_interval(x) if x[0] > 0.3 else None)
    found = interval_coverage.measure(case, 400, 100)
    assert found.declined == pytest.approx(0.5, abs=0.08)
    assert found.coverage > 0.8


@pytest.mark.parametrize("wrong", [["--samples", "5"], ["--out", "no/such/folder/x.json"]])
def test_bad_options_are_reported_before_the_work(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        interval_coverage.main(wrong)

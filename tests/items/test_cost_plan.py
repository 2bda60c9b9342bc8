"""``--sway-plan``, the line at the start of a long run, and what is left of it."""

from __future__ import annotations

import pytest

from pytest_sway.items.forecast import Forecast
from pytest_sway.items.progress import ProgressLine
from pytest_sway.reports import cost_table
from pytest_sway.suites.cost_plan import PlannedProbe
from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART

PLANNED = [
    PlannedProbe("s", "delta_kl", 12_345, 95.0, 12_000_000, 20_000, 400.0),
    PlannedProbe("s", "leakage", 655, 5.4, 2_400_000_000, 655, 5.4),
    PlannedProbe("s", "curve", reason="disabled in spec"),
]


def test_the_table_has_a_row_per_probe_and_their_sum() -> None:
    rows = [line.split("  ") for line in cost_table.lines(PLANNED)]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[1] == ["delta_kl", "12,345", "95 s", "12 MB", "7 min"]
    assert cells[3] == ["all", "13,000", "2 min", "2.4 GB", "7 min"]
    assert cells[4] == ["curve: disabled in spec"]


def test_the_table_of_a_server_counts_requests_and_no_time() -> None:
    planned = PlannedProbe("s", "dk", tokens=1_200, most_tokens=5_000, requests=30, most_requests=90)
    heading, row, *_, note = cost_table.lines([planned])
    assert heading.split() == [
        "probe",
        "requests",
        "tokens",
        "requests",
        "at",
        "most",
        "tokens",
        "at",
        "most",
    ]
    assert row.split() == ["dk", "30", "1,200", "90", "5,000"]
    assert "time that the server needs is not known" in note


def test_a_plan_measures_nothing_and_does_not_gate(pytester: pytest.Pytester) -> None:
    spec = SPEC.replace("kind: dummy, base: fakellm", f"kind: hf, base: {QUICKSTART / 'base'}")
    spec = spec.replace("adapters/good", str(QUICKSTART / "adapters" / "inert"))
    pytester.makefile(".yaml", sway=spec)
    result = pytester.runpytest("sway.yaml", "--sway-plan", "--sway-json=out.json")
    result.assert_outcomes(skipped=4)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*sway plan: sway.yaml*", "probe*tokens*time*memory*at most", "dk *", "all *"]
    )
    assert "GATE" not in result.stdout.str()
    assert not (pytester.path / "out.json").exists()


def test_a_backend_that_answers_whole_requests_has_no_plan(project: pytest.Pytester) -> None:
    result = project.runpytest("sway.yaml", "--sway-plan")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["dk: no cost estimate for this kind of backend"])


def test_what_a_test_measures_itself_is_not_planned(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(sway): raise AssertionError")
    project.runpytest("-k", "test_it", "--sway-plan").assert_outcomes(skipped=1, deselected=4)


def test_what_is_left_is_corrected_by_what_was_taken() -> None:
    now = 0.0
    forecast = Forecast({"a": 10.0, "b": 20.0, "c": 5.0}, lambda: now)
    assert forecast.seconds_left() == 35.0
    with forecast.measuring("a"):
        now = 4.0
        assert forecast.seconds_left() == 31.0
        now = 20.0
    assert forecast.seconds_left() == 50.0  # it took twice as long as was estimated
    with forecast.measuring("b"):
        now = 30.0
        assert forecast.seconds_left() == 40.0
        now = 100.0
        assert forecast.seconds_left() == 10.0


def test_the_line_says_how_long_the_suite_still_takes() -> None:
    written: list[str] = []
    times = iter([0.0, 2.0])
    line = ProgressLine(written.append, lambda: next(times), lambda: 130.0)
    line(1, 10)
    line(5, 10)
    assert written == ["\x1b7  50% of 10 tokens, about 2 min left\x1b[K\x1b8"]


@pytest.mark.slow
def test_a_long_run_is_announced(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart's model is small and its suites are short, so the bars are lowered for it."""
    monkeypatch.setattr("pytest_sway.engine.estimate._SLOW_FORWARD_S", 0.0)
    monkeypatch.setattr("pytest_sway.items.forecast.LONG_S", 0.0)
    spec = SPEC.replace("kind: dummy, base: fakellm", f"kind: hf, base: {QUICKSTART / 'base'}")
    spec = spec.replace("adapters/good", str(QUICKSTART / "adapters" / "inert"))
    pytester.makefile(".yaml", sway=spec)
    result = pytester.runpytest("sway.yaml")
    result.stdout.fnmatch_lines(
        ["sway: estimated time: about * for * tokens (at most *; for details use --sway-plan)"]
    )
    assert "sway: estimated" not in pytester.runpytest("sway.yaml", "-q").stdout.str()

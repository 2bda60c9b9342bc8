"""The gate fails closed; exit status and words agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SPEC
from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.session.gate import judge_gate

names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=6)


def result(name: str, verdict: Verdict = Verdict.PASS) -> ProbeResult:
    return ProbeResult(name, "k", verdict, "")


@pytest.mark.parametrize(
    ("verdicts", "overall", "status", "says"),
    [
        ([Verdict.PASS, Verdict.WARN, Verdict.SKIP], 0.7, "passed", None),
        ([Verdict.PASS, Verdict.FAIL], 0.9, "failed", "1 probe failed: p1"),
        ([Verdict.ERROR, Verdict.ERROR], 0.9, "failed", "2 probes ended in an error: p0, p1"),
        ([Verdict.PASS], 0.41, "failed", "composite 0.41 is 0.19 below the threshold 0.60"),
    ],
)
def test_what_fails_a_gate(verdicts: list[Verdict], overall: float, status: str, says: str | None) -> None:
    results = [result(f"p{i}", verdict) for i, verdict in enumerate(verdicts)]
    planned = [r.name for r in results]
    gate = judge_gate(results, planned, planned, overall, 0.6)
    assert gate.status == status
    assert gate.reasons == (() if says is None else (says,))


@given(names, st.data())
def test_a_planned_probe_that_did_not_report_is_missed(planned: list[str], data: st.DataObject) -> None:
    reported = data.draw(st.lists(st.sampled_from(planned), unique=True))
    gate = judge_gate([result(name) for name in reported], planned, planned, 1.0, 0.6)
    missing = [name for name in planned if name not in reported]
    assert gate.failed == bool(missing)
    assert all(name in gate.reasons[0] for name in missing)


@given(names, st.data())
def test_a_partial_selection_does_not_gate(planned: list[str], data: st.DataObject) -> None:
    selected = data.draw(st.lists(st.sampled_from(planned), unique=True))
    gate = judge_gate([], planned, selected, 0.0, 0.6)
    assert (gate.status == "partial") == (len(selected) < len(planned))


@pytest.mark.parametrize(
    ("base", "arguments", "status"),
    [
        ("planted", [], 0),
        ("weak", [], 1),
        ("planted", ["--sway-threshold=0.99"], 1),
        ("planted", ["--sway-threshold=0.99", "-k", "dk or curve"], 0),
        ("weak", ["--deselect", "sway.yaml::dk"], 0),
        ("weak", ["-q", "--no-summary"], 1),
        ("planted", ["-p", "no:terminal", "--sway-threshold=0.99"], 1),
        ("planted", ["-qq", "--sway-threshold=0.99"], 1),
        ("nan", [], 1),
    ],
)
def test_the_exit_status(planted: pytest.Pytester, base: str, arguments: list[str], status: int) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", f"base: {base}"))
    found = planted.runpytest(*arguments)
    assert found.ret == status
    everything = found.stdout.str() + found.stderr.str()
    gated = "-k" not in arguments and "--deselect" not in arguments
    assert ("GATE FAILED" in everything) == (status == 1 and gated)


def test_what_x_left_undone_is_missed(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", "base: weak"))
    found = planted.runpytest("-x")
    found.stdout.fnmatch_lines(["*2 probes planned but not reported: curve, talk"])


def test_weights_of_the_command_line_merge_over_the_specs(planted: pytest.Pytester) -> None:
    found = planted.runpytest("--sway-weights=adherence=0")
    found.stdout.fnmatch_lines(["PASSED  healthy, composite 1.00*", "  ablation     1.00 * weight 0.15"])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--sway-threshold=1.5", "write a number in [0, 1]"),
        ("--sway-threshold=high", "write a number in [0, 1]"),
        ("--sway-threshold=nan", "write a number in [0, 1]"),
        ("--sway-weights=adherence", "write CATEGORY=WEIGHT"),
        ("--sway-weights=bogus=1", "unknown category 'bogus'"),
        ("--sway-weights=adherence=-1", "finite"),
        ("--sway-weights=ablation=0,adherence=0,attribution=0,calibration=0", "sum to 0"),
        ("--sway-adapter=nowhere", None),
    ],
)
def test_bad_options_are_told_before_anything_runs(
    planted: pytest.Pytester, option: str, says: str | None
) -> None:
    found = planted.runpytest(option)
    if says is None:
        found.stdout.fnmatch_lines(["sway.yaml: --sway-adapter=nowhere: there is no adapter folder*"])
        return
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert says in found.stderr.str()


def test_a_rerun_replaces_what_came_before(planted: pytest.Pytester) -> None:
    """Two marked runs of one spec are two suites, each with its own gate."""
    planted.makepyfile(
        """
        import pytest

        @pytest.mark.sway("sway.yaml", threshold=0.99)
        def test_strict(): pass

        @pytest.mark.sway("sway.yaml", threshold=0.5)
        def test_mild(): pass
        """
    )
    found = planted.runpytest()
    assert found.ret == 1
    text = found.stdout.str()
    assert text.count("GATE PASSED") == 2
    found.stdout.fnmatch_lines(["GATE FAILED *::test_strict"])


def test_a_fleet_has_a_suite_and_a_gate_per_adapter(planted: pytest.Pytester) -> None:
    for name in ("one", "two"):
        folder = planted.mkdir(name)
        (folder / "adapter_config.json").write_text("{}")
    found = planted.runpytest("--sway-adapter=one", "--sway-adapter=two", "-v", "sway.yaml")
    found.assert_outcomes(passed=8)
    found.stdout.fnmatch_lines(["sway.yaml::dk[[]one[]]*", "sway.yaml::dk[[]two[]]*"])
    assert found.stdout.str().count("GATE PASSED") == 2

"""The gate fails closed; exit status and words agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.result import Gate, ProbeResult, Score, Verdict
from pytest_sway.session.item_report import ItemReport
from pytest_sway.session.suite_reports import SuiteReports
from pytest_sway.suites.gate import GateCriteria, judge_gate, without_adapter
from tests.support.fake_models import SPEC

names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=6)


def result(name: str, verdict: Verdict = Verdict.PASS) -> ProbeResult:
    return ProbeResult(name, "k", verdict, "too small" if verdict is not Verdict.PASS else "")


def composite(overall: float, **more: Any) -> Score:
    return Score(overall, "", more.pop("components", {}), {"adherence": 0.3, "ablation": 0.0}, [], **more)


def places(names: Iterable[str]) -> dict[str, str]:
    return {name: f"sway.yaml:{line}" for line, name in enumerate(names, start=5)}


P, W, F, E, S = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.ERROR, Verdict.SKIP


@pytest.mark.parametrize(
    ("verdicts", "overall", "status", "says"),
    [
        ([P, W, S], 0.7, "passed", None),
        ([P, F], 0.9, "failed", "1 probe failed: p1 (sway.yaml:6): too small"),
        ([P, E, E], 0.9, "failed", "2 probes ended in an error: p1, p2: too small"),
        ([S, S], 0.9, "failed", "nothing was measured"),
        ([P], 0.41, "failed", "composite 0.41 is 0.19 below the threshold 0.60"),
    ],
)
def test_what_fails_a_gate(verdicts: list[Verdict], overall: float, status: str, says: str | None) -> None:
    results = [result(f"p{i}", verdict) for i, verdict in enumerate(verdicts)]
    planned = places(r.name for r in results)
    gate = judge_gate(results, planned, list(planned), composite(overall), GateCriteria(0.6))
    assert (gate.status, gate.threshold) == (status, 0.6)
    assert gate.reasons == (() if says is None else (says,))


def test_a_warning_fails_a_strict_gate_alone() -> None:
    results, planned = [result("p0"), result("p1", W)], places(["p0", "p1"])
    gate = judge_gate(results, planned, list(planned), composite(0.7), GateCriteria(0.6, strict=True))
    assert gate.reasons == (
        "1 probe ended in a warning, which fails the gate with --sway-strict: p1 (sway.yaml:6): too small",
    )


def test_an_adapter_that_was_not_evaluated_fails_a_whole_fleet_alone() -> None:
    assert without_adapter("no weights", 0.6, whole=True) == Gate(
        "failed", 0.6, ("not evaluated: no weights",)
    )
    part = without_adapter("no weights", 0.6, whole=False)
    assert (part.status, part.threshold) == ("partial", 0.6)
    assert part.reasons == ("only some adapters or probes were selected", "not evaluated: no weights")


def test_a_low_composite_says_where_to_look() -> None:
    low = composite(0.3, components={"adherence": 0.4, "ablation": 0.1}, effect_factor=0.5, harm_factor=0.25)
    gate = judge_gate([result("p0")], places(["p0"]), ["p0"], low, GateCriteria(0.6))
    (told,) = gate.reasons
    factors = "effect factor 0.50, no-harm factor 0.25"
    assert told.endswith(f"threshold 0.60: lowest category adherence 0.40, {factors}")


@given(names, st.data())
def test_a_planned_probe_that_did_not_report_is_missed(planned: list[str], data: st.DataObject) -> None:
    reported = data.draw(st.lists(st.sampled_from(planned), unique=True))
    gate = judge_gate(
        [result(name) for name in reported], places(planned), planned, composite(1.0), GateCriteria(0.6)
    )
    missing = [name for name in planned if name not in reported]
    assert gate.failed == bool(missing)
    assert all(name in gate.reasons[0] for name in missing)


@given(names, st.none() | st.integers(1), st.data())
def test_a_part_of_a_suite_does_not_gate(planned: list[str], limit: int | None, data: st.DataObject) -> None:
    selected = data.draw(st.lists(st.sampled_from(planned), unique=True))
    gate = judge_gate([], places(planned), selected, composite(0.0), GateCriteria(0.6, limit=limit))
    assert (gate.status == "partial") == (len(selected) < len(planned) or limit is not None)


@pytest.mark.parametrize(
    ("base", "arguments", "status"),
    [
        ("fakellm", [], 0),
        ("weak", [], 1),
        ("fakellm", ["--sway-threshold=0.99"], 1),
        ("fakellm", ["--sway-threshold=0.99", "-k", "dk or curve"], 0),
        ("weak", ["--deselect", "sway.yaml::dk"], 0),
        ("weak", ["-q", "--no-summary"], 1),
        ("fakellm", ["-p", "no:terminal", "--sway-threshold=0.99"], 1),
        ("fakellm", ["-qq", "--sway-threshold=0.99"], 1),
        ("nan", [], 1),
        ("fakellm", ["--sway-limit=2", "--sway-threshold=0.99"], 0),
    ],
)
def test_the_exit_status(project: pytest.Pytester, base: str, arguments: list[str], status: int) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", f"base: {base}"))
    found = project.runpytest(*arguments)
    assert found.ret == status
    everything = found.stdout.str() + found.stderr.str()
    gated = not {"-k", "--deselect", "--sway-limit=2"} & set(arguments)
    assert ("GATE FAILED" in everything) == (status == 1 and gated)


def test_what_x_left_undone_is_missed(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: weak"))
    found = project.runpytest("-x")
    found.stdout.fnmatch_lines(["*2 probes planned but not reported: curve, talk"])


def test_weights_of_the_command_line_merge_over_the_specs(project: pytest.Pytester) -> None:
    found = project.runpytest("--sway-weights=adherence=0")
    found.stdout.fnmatch_lines(["PASSED: healthy. Composite 1.00*", "ablation  1.00 * weight 0.15"])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--sway-threshold=1.5", "write a number in [0, 1]"),
        ("--sway-threshold=high", "write a number in [0, 1]"),
        ("--sway-threshold=nan", "write a number in [0, 1]"),
        ("--sway-weights=adherence", "write CATEGORY=WEIGHT"),
        ("--sway-weights=bogus=1", "unknown category 'bogus'"),
        ("--sway-weights=adherence=-1", "finite"),
        ("--sway-weights=ablation=0,adherence=0,attribution=0,calibration=0", "all weights are 0"),
        ("--sway-limit=0", "the number of items per probe"),
        ("--sway-limit=all", "the number of items per probe"),
        ("--sway-adapter=nowhere", None),
    ],
)
def test_bad_options_are_reported_before_anything_runs(
    project: pytest.Pytester, option: str, says: str | None
) -> None:
    found = project.runpytest(option)
    if says is None:
        found.stdout.fnmatch_lines(["sway.yaml: --sway-adapter=nowhere: no adapter folder found*"])
        return
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert says in found.stderr.str()


def test_where_every_worker_runs_every_item_the_worst_counts() -> None:
    intake = SuiteReports()
    for worker, verdict in (("gw0", F), ("gw1", P)):
        intake.add(ItemReport("s", result("p0", verdict)), 0.0, 1.0, worker)
    assert intake.results["p0"].verdict is F
    assert SuiteReports(by_worker={"gw1": intake.by_worker["gw1"]}).results["p0"].verdict is P


def test_a_report_hook_cannot_change_the_gate(project: pytest.Pytester) -> None:
    project.makepyfile(
        cheat="""
        def pytest_sway_report(config, suites):
            for suite in suites:
                object.__setattr__(suite.gate, "status", "passed")
        """
    )
    project.syspathinsert()
    found = project.runpytest("-p", "cheat", "--sway-threshold=1", "sway.yaml")
    assert found.ret == 1
    found.stdout.fnmatch_lines(["GATE FAILED sway.yaml"])


def test_a_rerun_replaces_what_came_before(project: pytest.Pytester) -> None:
    """Two marked runs of one spec are two suites, each with its own gate."""
    project.makepyfile(
        """
        import pytest

        @pytest.mark.sway("sway.yaml", threshold=0.99)
        def test_strict(): pass

        @pytest.mark.sway("sway.yaml", threshold=0.5)
        def test_mild(): pass
        """
    )
    found = project.runpytest()
    assert found.ret == 1
    text = found.stdout.str()
    assert text.count("GATE PASSED") == 2
    found.stdout.fnmatch_lines(["GATE FAILED *::test_strict"])


def test_a_fleet_has_a_suite_and_a_gate_per_adapter(project: pytest.Pytester) -> None:
    for name in ("one", "two"):
        folder = project.mkdir(name)
        (folder / "adapter_config.json").write_text("{}")
    found = project.runpytest("--sway-adapter=one", "--sway-adapter=two", "-v", "sway.yaml")
    found.assert_outcomes(passed=8)
    found.stdout.fnmatch_lines(["sway.yaml::dk[[]one[]]*", "sway.yaml::dk[[]two[]]*"])
    assert found.stdout.str().count("GATE PASSED") == 2


def test_adapters_of_one_name_are_two_suites(project: pytest.Pytester) -> None:
    for folder in ("r1/out/adapter", "r2/out/adapter"):
        (project.path / folder).mkdir(parents=True)
        (project.path / folder / "adapter_config.json").write_text("{}")
    found = project.runpytest("--sway-adapter=r1/out/adapter", "--sway-adapter=r2/out/adapter", "sway.yaml")
    found.assert_outcomes(passed=8)
    found.stdout.fnmatch_lines(
        ["*sway: sway.yaml[[]r1/out/adapter[]]*", "*sway: sway.yaml[[]r2/out/adapter[]]*"]
    )


SKIPPING = """
from tests.support import fake_models
import pytest

def pytest_sway_backend(config, model):
    return fake_models.backend(model)

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "dk":
            item.add_marker(pytest.mark.{mark})
"""


def test_a_probe_that_a_mark_skips_makes_the_run_partial(project: pytest.Pytester) -> None:
    project.makeconftest(SKIPPING.format(mark="skip(reason='flaky')"))
    found = project.runpytest("sway.yaml")
    found.assert_outcomes(passed=3, skipped=1)
    found.stdout.fnmatch_lines(["not gated: 3 of 4 probes ran; not run: dk"])
    found.stdout.no_fnmatch_line("GATE PASSED")


def test_xfail_hides_no_broken_backend(project: pytest.Pytester) -> None:
    project.makeconftest(SKIPPING.format(mark="xfail").replace('== "dk"', '!= ""'))
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: broken"))
    found = project.runpytest("sway.yaml")
    assert found.ret == 1
    found.stdout.fnmatch_lines(["GATE FAILED*", "*4 probes ended in an error*"])


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only", "--collect-only"])
def test_looking_does_not_gate(project: pytest.Pytester, option: str) -> None:
    found = project.runpytest(option, "sway.yaml")
    assert found.ret == 0
    found.stdout.no_fnmatch_line("*GATE*")


def test_an_unwritable_json_is_reported_beside_the_report(project: pytest.Pytester) -> None:
    found = project.runpytest("--sway-json=conftest.py/out.json", "sway.yaml")
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        ["PASSED: healthy*", "GATE PASSED", "--sway-json=conftest.py/out.json could not*"]
    )
    found.stdout.no_fnmatch_line("*Traceback*")


def test_a_json_is_as_readable_as_any_other_file(project: pytest.Pytester) -> None:
    project.runpytest("--sway-json=out.json", "sway.yaml")
    (project.path / "plain").write_text("")
    assert (project.path / "out.json").stat().st_mode == (project.path / "plain").stat().st_mode


def test_nulls_that_all_fail_are_an_error(project: pytest.Pytester) -> None:
    """Not "no null in this suite": the promise was calibration."""
    project.makeconftest(
        """
        import math
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import Divergence

        def answer(request):
            null = isinstance(request, Divergence) and request.q.null is not None
            return math.nan if null and request.prompt != "The" else fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    found = project.runpytest("sway.yaml")
    assert found.ret == 1
    found.stdout.fnmatch_lines(
        ["ERROR delta_kl: cannot compare with null adapters, because 20 of 20 failed: null_0: its values*"]
    )


def test_notes_of_any_type_reach_the_report(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import dataclasses, pathlib, pytest
        from tests.support import fake_models

        def pytest_sway_backend(config, model):
            return fake_models.backend(model)

        @pytest.fixture(scope="session")
        def sway_adapter(sway_adapter):
            return dataclasses.replace(sway_adapter, notes=(pathlib.Path("here"),))
        """
    )
    project.runpytest("sway.yaml").stdout.fnmatch_lines(["note: here", "GATE PASSED"])

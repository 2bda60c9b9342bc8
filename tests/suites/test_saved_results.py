"""Results of earlier runs: what can be read back, and what is told where a file is something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.reports import json_report, markdown, terminal
from pytest_sway.reports.html import page
from pytest_sway.result import (
    BaselineComparison,
    CompositeChange,
    Gate,
    ItemChange,
    NullStatistics,
    NullSummary,
    PairedItems,
    ProbeComparison,
    ProbeFigures,
    RegressionText,
    RunDeterminism,
    SuiteResult,
    Verdict,
)
from pytest_sway.suites.saved_results import SavedResultError, parse_saved_result, read_saved_result
from tests.support import report_pages
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.suite_results import EFFECTS, NULLS

"""Written by dlm-sway 0.1.0 on the quickstart's healthy adapter."""


def test_what_was_written_is_read_back_whole(project: pytest.Pytester) -> None:
    project.runpytest("--sway-json=out.json")
    text = (project.path / "out.json").read_text(encoding="utf-8")
    suite = read_saved_result(project.path / "out.json")
    assert json.loads(json_report.text(suite)) == json.loads(text)
    (dk,) = [probe for probe in suite.probes if probe.name == "dk"]
    assert dk.verdict is Verdict.PASS
    assert [one.item for one in dk.samples] == ["one", "two", "three", "four", "five"]
    assert sum(one.value for one in dk.samples) / 5 == pytest.approx(dk.raw)


def test_a_result_of_dlm_sway_is_read() -> None:
    suite = read_saved_result(DLM_SWAY_RESULT)
    written = json.loads(DLM_SWAY_RESULT.read_text())
    assert [probe.name for probe in suite.probes] == ["baseline", "moved", "strength"]
    assert [probe.raw for probe in suite.probes] == [probe["raw"] for probe in written["probes"]]
    assert suite.score.overall == written["score"]["overall"]
    assert suite.probes[1].samples == []
    assert suite.gate.status == "unknown"


PROBE = {"name": "a", "kind": "delta_kl", "verdict": "pass"}
GOOD: dict[str, Any] = {"score": {"overall": 0.5}, "probes": [PROBE]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "r.json does not have the fields"),
        ({"score": {"overall": 0.5}}, "r.json does not have the fields"),
        ({**GOOD, "schema_version": 2}, "r.json: schema_version: found 2, but this version of pytest-sway"),
        ({**GOOD, "score": {}}, "r.json: score.overall: field required"),
        ({**GOOD, "probes": [{"name": "a", "kind": "b"}]}, "r.json: probes.0.verdict: field required"),
        ({**GOOD, "probes": [{**PROBE, "verdict": "fine"}]}, "r.json: probes.0.verdict: input should"),
        ({**GOOD, "probes": [3]}, "r.json: probes.0: "),
        ({**GOOD, "probes": None}, "r.json: probes: "),
        ({**GOOD, "gate": {"status": 3}}, "r.json: gate: found {'status': 3, "),
        ({**GOOD, "gate": []}, "r.json: gate: found [], expected a status"),
    ],
)
def test_what_is_no_result_is_reported_in_one_line(content: Any, told: str) -> None:
    with pytest.raises(SavedResultError) as caught:
        parse_saved_result(content, "r.json")
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_or_is_no_json_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SavedResultError, match=r"none\.json cannot be read"):
        read_saved_result(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"probes": [')
    with pytest.raises(SavedResultError, match=r"half\.json is not valid JSON"):
        read_saved_result(tmp_path / "half.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SavedResultError, match=r"bytes\.json is not valid JSON"):
        read_saved_result(tmp_path / "bytes.json")


NAN = float("nan")


@pytest.mark.parametrize(
    "written",
    [
        {"ci_95": [NAN, 1.0]}, {"ci_95": [None, None]}, {"duration_s": NAN}, {"message": None},
        {"evidence": None}, {"score": 10**400}, {"null": {}}, {"null": None}, {"null": {"n": 2}},
    ],
)  # fmt: skip
def test_a_probe_without_a_number_is_the_probe_without_the_key(written: dict[str, Any]) -> None:
    assert parse_saved_result({**GOOD, "probes": [{**PROBE, **written}]}, "r.json") == parse_saved_result(
        GOOD, "r.json"
    )


@pytest.mark.parametrize(
    "written",
    [
        {"wall_seconds": NAN}, {"adapter_id": None}, {"notes": None}, {"null_stats": None},
        {"null_stats": {"delta_kl": None}}, {"null_stats": {"delta_kl": {}}}, {"backend_stats": None},
        {"gate": None}, {"gate": {}}, {"gate": {"status": None}}, {"calibration": {"nulls": {"n": 2}}},
        {"calibration": {"effects": {}, "not_calibrated": None}}, {"baseline": {}},
        {"baseline": {"path": "x"}},
        {"score": {"overall": 0.5, "components": {"x": NAN}, "weights": None, "findings": None}},
    ],
)  # fmt: skip
def test_a_suite_without_a_part_is_the_suite_without_the_key(written: dict[str, Any]) -> None:
    assert parse_saved_result({**GOOD, **written}, "r.json") == parse_saved_result(GOOD, "r.json")


def test_a_gate_and_determinism_are_filled_not_dropped() -> None:
    found = parse_saved_result(
        {**GOOD, "gate": {"status": "passed"}, "determinism": {"seed": 3, "notes": None}}, "r.json"
    )
    assert found.gate == Gate("passed", None)
    assert found.determinism == RunDeterminism(seed=3)
    shapeless = parse_saved_result({**GOOD, "determinism": {"notes": 3}}, "r.json")
    assert shapeless.determinism is None


def shown_everywhere(suite: SuiteResult) -> None:
    for verbosity in (-1, 0, 1):
        assert list(terminal.lines(suite, 80, verbosity))
    assert markdown.text(suite).startswith("# sway report")
    assert "<main" in page(suite, "")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
keys = ["name", "kind", "verdict", "score", "raw", "ci_95", "evidence", "samples", "null", "weight"]


@settings(max_examples=50)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, anything)), st.floats())
def test_any_probe_is_read_and_shown_or_reported_in_one_line(probe: dict[str, Any], overall: float) -> None:
    content = {"score": {"overall": overall}, "probes": [{**PROBE, **probe}]}
    try:
        suite = parse_saved_result(content, "r.json")
    except SavedResultError as error:
        assert str(error).startswith("r.json: ")
    else:
        assert json.loads(json_report.text(suite))["score"]["overall"] == overall
        shown_everywhere(suite)


def full() -> dict[str, Any]:
    """A result that has every part there is, as its file holds it."""
    items = PairedItems(3, 0, -0.1, (-0.2, 0.0), True, ItemChange("a", 0.3, 0.1))
    then, now = ProbeFigures(Verdict.PASS, 0.9, 0.2), ProbeFigures(Verdict.PASS, 0.1, 0.2)
    baseline = BaselineComparison(
        path="x.json", suite="s", adapter_id="a", finished_at="2026", gated=False,
        composite=CompositeChange(0.9, 0.5, -0.4), regression_threshold=0.1, notes=["n"],
        probes=[ProbeComparison("moved", "delta_kl", then, now, -0.8, items)],
        regressions=[RegressionText(probe="moved", what="score", delta=-0.8, text="moved: score")],
    )  # fmt: skip
    made = report_pages.suite(
        baseline=baseline,
        null_stats={"leakage": NullStatistics(n=3.0, mean=0.1)},
        null_summary=NullSummary(EFFECTS, NULLS, {"recital": "no"}),
    )
    content: dict[str, Any] = json.loads(json_report.text(made))
    content["probes"][0]["evidence"]["z_by_rank"] = {"rank_1.00": 4.5, "rank_2.00": 3.0}
    return content


def places(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in it."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    found = []
    for key, value in inner:
        found.append((*above, key))
        if isinstance(value, dict | list):
            found += places(value, (*above, key))
    return found


PLACES = places(full())


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    """``value`` at a place of a file's content."""
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value
    if value == "gone":
        del content[path[-1]]


def test_the_whole_result_is_kept() -> None:
    assert json.loads(json_report.text(parse_saved_result(full(), "r.json"))) == full()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(PLACES), anything | st.just("gone")), min_size=1, max_size=3))
def test_whatever_is_read_is_shown(damages: list[tuple[tuple[Any, ...], Any]]) -> None:
    content = full()
    for path, value in damages:
        try:
            put(content, path, value)
        except (KeyError, IndexError, TypeError):  # an earlier one took the place away
            continue
    try:
        suite = parse_saved_result(content, "r.json")
    except SavedResultError as error:
        assert "\n" not in str(error)
    else:
        shown_everywhere(suite)


@pytest.mark.slow  # some thousand pages
@pytest.mark.parametrize(
    "value", [None, 3, 10**400, [], {}, "word"], ids=["none", "small", "huge", "list", "dict", "word"]
)
def test_each_place_may_hold_something_else(value: Any) -> None:
    for path in PLACES:
        content = full()
        put(content, path, value)
        try:
            suite = parse_saved_result(content, "r.json")
        except SavedResultError as error:
            assert "\n" not in str(error)
        else:
            shown_everywhere(suite)


def test_no_integer_is_larger_than_a_double() -> None:
    content = {**GOOD, "backend_stats": {"cache_hits": 10**400, "tokens": 2**60}}
    assert parse_saved_result(content, "r.json").backend_stats == {"cache_hits": None, "tokens": 2**60}


@pytest.mark.parametrize(
    "profile", [{"x": 1.0, "y": 2.0}, {"rank_1.00": "a", "rank_2.00": None}, [1, 2], "ab"]
)
def test_a_profile_of_another_shape_is_left_out(profile: Any) -> None:
    content = full()
    content["probes"][0]["evidence"]["z_by_rank"] = profile
    suite = parse_saved_result(content, "r.json")
    assert "rank profile" not in markdown.text(suite) + page(suite, "")
    shown_everywhere(suite)


def test_huge_counts_and_no_composites_are_shown() -> None:
    content = full()
    content["backend_stats"] = dict.fromkeys(["cache_hits", "cache_misses", "tokens"], 10**308)
    content["calibration"]["nulls"]["nulls_composites"] = []
    shown_everywhere(parse_saved_result(content, "r.json"))

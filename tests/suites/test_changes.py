"""A run against its baseline: what is compared, what fails the gate, and what is only told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports import json_report
from pytest_sway.reports.baseline_text import baseline_lines
from pytest_sway.result import Gate, ItemChange, SuiteResult
from pytest_sway.session.baseline import Baseline, compare_with_baseline, load_baseline, with_regressions
from pytest_sway.suites.changes import changes, composite_delta, regressions
from pytest_sway.suites.saved_results import SavedResultError, parse_saved_result, read_saved_result
from tests.support.fake_models import SPEC
from tests.support.saved_results import DLM_SWAY_RESULT

PASSED = {"status": "passed", "threshold": 0.6, "reasons": []}
scores = st.none() | st.floats(0, 1)


def suite(*probes: dict[str, Any], overall: float = 0.9, **fields: Any) -> SuiteResult:
    """A saved result with these probes."""
    filled = [{"kind": "delta_kl", "verdict": "pass", **probe} for probe in probes]
    content = {
        "suite": "sway.yaml",
        "spec_path": "/there/sway.yaml",
        "adapter_id": "/there/adapters/good",
        "sway_version": "0.1.0",
        "gate": PASSED,
        "score": {"overall": overall, "components": {"adherence": overall}},
        "probes": filled,
        **fields,
    }
    return parse_saved_result(content, "r.json")


def items(**values: float) -> list[dict[str, Any]]:
    return [{"item": item, "value": value} for item, value in values.items()]


def worse(then: SuiteResult, now: SuiteResult, threshold: float | None = 0.1) -> list[tuple[str, str]]:
    found = regressions(changes(then, now), composite_delta(then, now), threshold)
    return [(one.name, one.what) for one in found]


def test_items_are_paired_by_their_text() -> None:
    then = suite({"name": "a", "raw": 0.2, "samples": items(one=0.1, two=0.2, three=0.3)})
    now = suite({"name": "a", "raw": 0.4, "samples": items(three=0.5, four=9.0, one=0.2, two=0.2)})
    (change,) = changes(then, now)
    assert change.items is not None
    assert (change.items.n, change.items.unpaired) == (3, 1)
    assert change.items.mean_delta == pytest.approx(0.1)  # 0.2, 0.1, 0.0
    # 0.1 ± 4.303 · 0.1/√3: t with 2 degrees of freedom
    assert change.items.ci_95 == pytest.approx((-0.1484, 0.3484), abs=1e-4)
    assert change.items.beyond_scatter is False
    assert change.items.most == ItemChange("three", 0.3, 0.5)
    assert not change.items.of_raw  # 0.4 is not the mean of all four


def test_what_cannot_be_paired() -> None:
    then = suite({"name": "a", "samples": items(one=0.1)}, {"name": "b"}, {"name": "c"})
    now = suite(
        {"name": "a", "samples": items(one=0.3), "raw": 0.3},
        {"name": "b", "samples": items(one=0.3)},
        {"name": "c", "samples": [{"item": "x"}, {"value": 1.0}, {"item": 3, "value": 1.0}]},
        {"name": "d", "samples": items(one=1.0)},
    )
    a, b, c, d = changes(then, now)
    assert a.items is not None
    assert (a.items.n, a.items.ci_95, a.items.beyond_scatter) == (1, None, None)
    assert (b.items, c.items, d.items, d.then) == (None, None, None, None)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), st.floats(-10, 10), min_size=1, max_size=8), st.floats(-3, 3))
def test_a_shift_of_every_item_is_found(values: dict[str, float], by: float) -> None:
    then = suite({"name": "a", "samples": items(**values), "raw": 0.0})
    now = suite({"name": "a", "samples": [{"item": i, "value": v + by} for i, v in values.items()]})
    (change,) = changes(then, now)
    assert change.items is not None
    assert change.items.mean_delta == pytest.approx(by, abs=1e-9)
    assert (change.items.n, change.items.unpaired) == (len(values), 0)


@pytest.mark.parametrize(
    ("then", "now", "what"),
    [
        ({"verdict": "pass", "score": 0.9}, {"verdict": "pass", "score": 0.8}, "score"),
        ({"verdict": "pass", "score": 0.9}, {"verdict": "pass", "score": 0.81}, None),
        ({"verdict": "pass", "score": 0.9}, {"verdict": "pass", "score": 0.9}, None),
        ({"verdict": "pass", "score": 0.5}, {"verdict": "pass", "score": 0.9}, None),
        ({"verdict": "warn", "score": 0.5}, {"verdict": "warn", "score": None}, None),
        ({"verdict": "pass", "score": None}, {"verdict": "pass", "score": 0.0}, None),
        ({"verdict": "pass", "score": 0.9}, {"verdict": "warn", "score": 0.85}, None),
        ({"verdict": "warn", "score": 0.5}, {"verdict": "fail", "score": 0.45}, "fail"),
        ({"verdict": "fail", "score": 0.3}, {"verdict": "fail", "score": 0.29}, None),
        ({"verdict": "fail", "score": 0.3}, {"verdict": "fail", "score": 0.1}, "score"),
        ({"verdict": "fail", "score": 0.3}, {"verdict": "error"}, "error"),
        ({"verdict": "pass", "score": 0.9}, {"verdict": "error"}, "error"),
        ({"verdict": "pass", "score": 0.9}, {"verdict": "skip"}, "vanished"),
        ({"verdict": "pass", "score": 0.9}, None, "vanished"),
        ({"verdict": "pass", "score": 0.9}, {"kind": "leakage", "score": 0.9}, "vanished"),
        ({"verdict": "skip"}, None, None),
        ({"verdict": "skip"}, {"verdict": "error"}, None),
        ({"verdict": "error"}, {"verdict": "fail", "score": 0.0}, None),
        (None, {"verdict": "fail", "score": 0.0}, None),
    ],
)
def test_what_a_regression_is(then: dict[str, Any] | None, now: dict[str, Any] | None, what: Any) -> None:
    both = [suite(*([{"name": "a", **one}] if one is not None else [])) for one in (then, now)]
    assert worse(*both) == ([("a", what)] if what else [])
    assert worse(*both, threshold=None) == worse(*both, threshold=0.0) == []


def test_a_composite_that_drops() -> None:
    assert worse(suite(overall=0.9), suite(overall=0.8)) == [("composite", "composite")]
    assert worse(suite(overall=0.9), suite(overall=0.81)) == []
    then, now = suite(overall=0.9), suite(overall=0.8)
    (one,) = regressions(changes(then, now), composite_delta(then, now), 0.1)
    assert one.with_text("lower").delta == one.delta == pytest.approx(-0.1)
    partial = {"status": "partial", "threshold": 0.6, "reasons": ["1 of 2 ran"]}
    assert worse(suite(overall=0.9), suite(overall=0.1, gate=partial)) == []
    assert worse(suite(overall=0.9, gate=partial), suite(overall=0.1)) == []


@settings(max_examples=40)
@given(scores, scores, st.floats(0.01, 1))
def test_nothing_is_not_zero_and_no_drop_is_no_regression(
    then: float | None, now: float | None, threshold: float
) -> None:
    found = worse(suite({"name": "a", "score": then}), suite({"name": "a", "score": now}), threshold)
    if then is None or now is None or now >= then:
        assert found == []
    elif abs(then - now - threshold) > 1e-6:
        assert found == ([("a", "score")] if then - now > threshold else [])


def test_a_partial_run_is_compared_and_not_gated() -> None:
    then = suite({"name": "a", "score": 0.9}, {"name": "b", "score": 0.9})
    gate = {"status": "partial", "threshold": 0.6, "reasons": ["1 of 2 probes ran; not run: b"]}
    now = suite({"name": "a", "score": 0.2}, gate=gate)
    (found,) = compare_with_baseline([now], Baseline("old.json", (then,), 0.1))
    assert found.gate == Gate("partial", 0.6, ("1 of 2 probes ran; not run: b",))
    assert found.baseline is not None
    assert [one.name for one in found.baseline.probes] == ["a"]
    assert [(one.probe, one.what) for one in found.baseline.regressions] == [("a", "score")]
    assert found.baseline.composite.delta is None
    assert any(
        line.startswith("    not gated: a: score 0.90 → 0.20") for line, _ in baseline_lines(found.baseline)
    )


def test_reasons_come_after_the_runs_own() -> None:
    own = Gate("failed", 0.6, ("1 probe failed: a",))
    assert with_regressions(own, ["a: worse"]) == Gate("failed", 0.6, ("1 probe failed: a", "a: worse"))
    assert with_regressions(Gate("passed", 0.6), ["a: worse"]).failed
    assert with_regressions(Gate("passed", 0.6), []) == Gate("passed", 0.6)
    assert with_regressions(Gate("partial", 0.6), ["a: worse"]).status == "partial"


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (
            {"score": 0.5, "raw": 0.1, "samples": items(one=0.1, two=0.1)},
            # changes of -0.3 and -0.5: -0.4 ± 12.706 · 0.1
            (
                "a: score 0.90 → 0.50, 0.40 lower (a drop of 0.1 fails); mean change of 2 items -0.400, "
                "95 % [-1.671, 0.871]: "
                "perhaps chance; largest change: 'two' 0.600 → 0.100"
            ),
        ),
        (
            {"score": 0.5},
            "a: score 0.90 → 0.50, 0.40 lower (a drop of 0.1 fails); the two results have no items in common",
        ),
        ({"verdict": "fail", "score": 0.88}, "a: turned from pass to fail, score 0.90 → 0.88, 0.02 lower; "),
        (
            {"verdict": "fail", "score": 0.8},
            "a: turned from pass to fail, score 0.90 → 0.80, 0.10 lower (a drop of 0.1 fails); ",
        ),
        ({"kind": "leakage", "score": 0.2}, "a: its kind changed from delta_kl to leakage"),
        ({"verdict": "error", "message": "boom"}, "a: ended in an error (before: pass, score 0.90): boom"),
        ({"verdict": "skip", "message": "gone"}, "a: no longer measured (before: pass, score 0.90): gone"),
        (None, "a: the probe is not in this run (before: pass, score 0.90). Add the probe again, or write a"),
    ],
)
def test_each_regression_has_its_line(now: dict[str, Any] | None, says: str) -> None:
    then = suite({"name": "a", "score": 0.9, "raw": 0.5, "samples": items(one=0.4, two=0.6)})
    later = suite(*([{"name": "a", **now}] if now is not None else []))
    (found,) = compare_with_baseline([later], Baseline("old.json", (then,), 0.1))
    assert found.gate.status == "failed"
    assert found.gate.reasons[0].startswith(says)


def test_the_composites_line_names_the_category() -> None:
    then = suite(score={"overall": 0.9, "components": {"adherence": 0.9, "ablation": 0.8, "gone": 1.0}})
    now = suite(score={"overall": 0.5, "components": {"adherence": 0.8, "ablation": 0.2}})
    (found,) = compare_with_baseline([now], Baseline("old.json", (then,), 0.1))
    assert list(found.gate.reasons) == [
        (
            "composite 0.90 → 0.50, 0.40 lower (a drop of 0.1 fails); "
            "largest drop in category ablation: 0.80 → 0.20"
        )
    ]


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({"effect_factor": 0.0, "harm_factor": 0.9}, "; effect factor 0.00, was 1.00"),
        ({"effect_factor": 1.0, "harm_factor": 0.5}, "; no-harm factor 0.50, was 0.90"),
        ({"effect_factor": 1.0, "harm_factor": 1.0}, ""),
    ],
)
def test_the_composites_line_names_the_factor_that_fell(factors: dict[str, float], says: str) -> None:
    whole = {"components": {"adherence": 0.9}}
    then = suite(score={**whole, "overall": 0.81, "effect_factor": 1.0, "harm_factor": 0.9})
    (found,) = compare_with_baseline(
        [suite(score={**whole, "overall": 0.0, **factors})], Baseline("x", (then,), 0.1)
    )
    assert list(found.gate.reasons) == [f"composite 0.81 → 0.00, 0.81 lower (a drop of 0.1 fails){says}"]


NULL: dict[str, Any] = {
    "family": "norm_matched", "n": 20, "mean": 0.1, "std": 0.01, "scale": "raw", "z": 4.0, "p": 1e-4,
    "rank": 0, "ratio": 2.0, "reason": "", "draws": [], "failed": [], "organised": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"suite": ""}, "the earlier result was written by another tool"),
        ({"sway_version": "0.0.9"}, "pytest-sway 0.0.9 then, 0.1.0 now"),
        ({"gate": {**PASSED, "status": "partial"}}, "the earlier result is from a partial run"),
        ({"base_model_id": "org/other"}, "base model other then, base now"),
        (
            {"digests": {"base": "ff", "adapter": "bb"}},
            "the weights of the base model have changed (base model: base then, base now)",
        ),
        (
            {"digests": {"base": "aa", "adapter": "cc"}},
            "the weights of the base model and the adapter have not changed",
        ),
        ({"spec_path": "other.yaml"}, "spec other.yaml then, sway.yaml now"),
        ({"determinism": {"class": "strict", "seed": 7}}, "seed 7 then, None now"),
        (
            {"score": {"overall": 0.9, "weights": {"adherence": 2.0}}},
            "the category weights have changed (adherence)",
        ),
        (
            {"probes": [{"name": "a", "kind": "delta_kl", "verdict": "pass", "null": {**NULL, "n": 8}}]},
            "a: compared with 8 random adapters (norm_matched) then, 20 random adapters (norm_matched) now",
        ),
    ],
)
def test_what_else_changed_is_noted(changed: dict[str, Any], says: str) -> None:
    same = {"base_model_id": "/m/base", "score": {"overall": 0.9, "weights": {"adherence": 1.0}}}
    probe = {"name": "a", "null": NULL}
    now = suite(probe, **same, digests={"base": "aa", "adapter": "cc"})
    (found,) = compare_with_baseline([now], Baseline("old.json", (suite(probe, **{**same, **changed}),)))
    assert found.baseline is not None
    assert [note for note in found.baseline.notes if note.startswith(says)]
    (alike,) = compare_with_baseline([now], Baseline("old.json", (suite(probe, **same),)))
    assert alike.baseline is not None
    assert alike.baseline.notes == []


def test_results_find_their_suites() -> None:
    """By id; else by spec and adapter; and who is left over is told."""
    one, two = (suite(suite=f"t/sway.yaml[{n}]", adapter_id=f"/a/{n}") for n in ("one", "two"))
    moved = suite(suite="t/sway.yaml", adapter_id="/elsewhere/two")
    gone = suite(suite="t/gone.yaml", spec_path="gone.yaml")
    new = suite(suite="t/new.yaml", spec_path="new.yaml")
    first, second, third = compare_with_baseline([one, two, new], Baseline("old", (moved, gone, one)))
    assert first.baseline is not None
    assert first.baseline.suite == one.suite
    assert second.baseline is not None
    assert second.baseline.adapter_id == "/elsewhere/two"
    assert third.baseline is None
    assert third.gate == Gate("passed", 0.6)
    held = "t/sway.yaml, t/gone.yaml, t/sway.yaml[one]"
    assert third.notes[0].startswith(f"no baseline: old contains results of {held}")
    assert third.notes[1] == "old also contains results of t/gone.yaml, which did not run this time"


def test_a_result_is_taken_once_and_never_for_another_adapter() -> None:
    """Folders called alike: y is new, and x's result is not its."""
    x, y = (suite(suite=f"t/sway.yaml[{n}]", adapter_id=f"/runs/{n}/adapter") for n in "xy")
    first, second = compare_with_baseline([x, y], Baseline("old", (x,)))
    assert first.baseline is not None
    assert second.baseline is None
    neither = compare_with_baseline(
        [y, suite(suite="t/z", adapter_id="/runs/z/adapter")], Baseline("old", (x,))
    )
    assert [one.baseline for one in neither] == [None, None]


@pytest.mark.parametrize(("threshold", "status"), [(0.1, "failed"), (None, "passed")])
def test_nothing_to_compare_with_fails_where_regressions_were_to(
    threshold: float | None, status: str
) -> None:
    renamed, other = (suite(suite=name, spec_path=name) for name in ("new.yaml", "other.yaml"))
    earlier = (suite(suite="old.yaml", spec_path="old.yaml"),)
    found = compare_with_baseline([renamed, other], Baseline("old.json", earlier, threshold))
    assert [one.gate.status for one in found] == [status, status]
    assert [list(one.gate.reasons) for one in found] == [
        list(one.notes) if threshold else [] for one in found
    ]


@pytest.mark.parametrize("huge", [1e160, 1.7e308])
def test_numbers_too_large_to_be_measured_are_not_compared(huge: float) -> None:
    samples = [{"item": "a", "value": huge}, {"item": "b", "value": -huge}]
    probe = {"name": "a", "samples": samples}
    small = {"name": "a", "samples": [{"item": "a", "value": 1.0}, {"item": "b", "value": 0.0}]}
    (found,) = compare_with_baseline([suite(probe)], Baseline("old.json", (suite(small),), 0.1))
    assert found.baseline is not None
    assert found.baseline.probes[0].items is None


def test_one_file_and_one_suite_belong_together() -> None:
    (found,) = compare_with_baseline(
        [suite(suite="x.yaml")], Baseline(str(DLM_SWAY_RESULT), (read_saved_result(DLM_SWAY_RESULT),))
    )
    assert found.baseline is not None
    assert [one.then.verdict for one in found.baseline.probes] == ["pass", "pass", "fail"]


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json_report.text(suite(suite=name)))
    assert [one.suite for one in load_baseline(str(tmp_path)).results] == ["a", "b"]
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(SavedResultError, match=r"c\.json does not have the fields"):
        load_baseline(str(tmp_path))


def rows(found: SuiteResult, verbosity: int = 0) -> str:
    assert found.baseline is not None
    return "\n".join(line for line, _ in baseline_lines(found.baseline, verbosity))


def several() -> SuiteResult:
    """One probe of each fate."""
    then = suite(
        {"name": "steady", "score": 1.0, "raw": 0.5, "samples": items(one=0.4, two=0.6)},
        {"name": "section_internalization", "score": 0.95, "raw": 0.5, "samples": items(p=0.4, q=0.6, r=0.5)},
        {"name": "better", "verdict": "warn", "score": 0.5, "raw": 1011.5982},
        {"name": "skipped", "score": 0.5, "raw": 1.0},
        {"name": "gone", "score": 0.8},
        finished_at="2026-01-02T03:04:05+00:00",
    )
    now = suite(
        {"name": "steady", "score": 1.0, "raw": 0.5, "samples": items(one=0.4, two=0.6)},
        {
            "name": "section_internalization",
            "verdict": "fail",
            "score": 0.4,
            "raw": 0.2,
            "samples": items(p=0.2, q=0.2, s=0.2),
        },
        {"name": "better", "score": 0.9, "raw": 4480.0},
        {"name": "skipped", "verdict": "skip", "message": "no adapter"},
        {"name": "new", "score": 0.8},
        overall=0.6,
        spec_path="other.yaml",
    )
    (found,) = compare_with_baseline([now], Baseline("old/result.json", (then,), 0.1))
    return found


def test_the_section_in_the_terminal(snapshot: SnapshotAssertion) -> None:
    found = several()
    assert rows(found) + "\n" + "\n".join(found.gate.reasons) == snapshot
    assert "steady  " in rows(found, 1)
    assert rows(found, -1) == "    note: spec sway.yaml then, other.yaml now"


def test_another_kind_under_an_old_name_is_neither_new_nor_gone() -> None:
    then = suite({"name": "p", "score": 0.9}, {"name": "gone"})
    now = suite({"name": "p", "kind": "leakage", "score": 0.2}, {"name": "new"})
    shown = rows(compare_with_baseline([now], Baseline("x", (then,), 0.1))[0]).splitlines()
    assert shown[-3:] == [
        "    of another kind: p (leakage, was delta_kl)",
        "    new: new",
        "    not in this run: gone",
    ]


def test_a_name_breaks_no_row() -> None:
    then = suite({"name": "a\n\x1b[31mb", "score": 0.9}, {"name": "c\nd"})
    now = suite(
        {"name": "a\n\x1b[31mb", "score": 0.2}, {"name": "e\nf"}, gate={**PASSED, "status": "partial"}
    )
    (found,) = compare_with_baseline([now], Baseline("o\nx", (then,), 0.1))
    lines = rows(found).splitlines()
    assert any(line.startswith("    a ?[31mb  pass  score 0.90 → 0.20") for line in lines)
    assert "    new: e f" in lines
    assert any(line.startswith("    not gated: a ?[31mb: score 0.90 → 0.20") for line in lines)
    assert lines[0].startswith("  against o x (")


def test_colours_follow_the_verdict_then_the_score() -> None:
    found = several()
    assert found.baseline is not None
    coloured = {line.split()[0]: markup for line, markup in baseline_lines(found.baseline) if "score" in line}
    assert coloured == {
        "section_internalization": {"red": True},
        "better": {"green": True},
        "skipped": {"red": True},
    }


def test_the_wire_is_standard_json() -> None:
    found = json.loads(json_report.text(several()))["baseline"]
    assert set(found) >= {"path", "composite", "probes", "regressions"}
    assert found["composite"] == {"then": 0.9, "now": 0.6, "delta": pytest.approx(-0.3)}
    (one,) = [probe for probe in found["probes"] if probe["name"] == "section_internalization"]
    assert set(one) == {"name", "kind", "then", "now", "score_delta", "items"}
    assert one["then"] == {"verdict": "pass", "score": 0.95, "raw": 0.5}
    assert (one["items"]["n"], one["items"]["unpaired"]) == (2, 2)
    assert [(r["probe"], r["what"]) for r in found["regressions"]] == [
        ("section_internalization", "fail"),
        ("skipped", "vanished"),
        ("gone", "vanished"),
        (None, "composite"),
    ]


def test_a_run_against_a_better_one_fails(project: pytest.Pytester) -> None:
    project.runpytest("--sway-json=old.json", "sway.yaml")
    project.makefile(
        ".yaml", sway=SPEC.replace("base: fakellm", "base: weak").replace("name: talk", "name: chat")
    )
    found = project.runpytest(
        "-q", "--sway-baseline=old.json", "--sway-fail-on-regression=0.1", "--sway-json=new.json"
    )
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    report = "\n".join(found.outlines).split("GATE FAILED sway.yaml")[1].split("\n===")[0].splitlines()
    assert all(len(line) <= 80 for line in report)
    found.stdout.fnmatch_lines(
        [
            "  - dk: turned from pass to fail, score 0.91 → 0.00, 0.91 lower*",
            "  - talk: the probe is not in this run (before: pass,*",
        ]
    )
    written = json.loads((project.path / "new.json").read_text())["baseline"]
    assert {one["probe"] for one in written["regressions"]} == {"dk", "curve", "talk", None}


def test_a_run_like_its_baseline_passes(project: pytest.Pytester) -> None:
    project.runpytest("--sway-json=old.json", "sway.yaml")
    found = project.runpytest(
        "--sway-baseline=old.json", "--sway-fail-on-regression=0.01", "-p", "no:cacheprovider"
    )
    assert found.ret == 0
    found.stdout.fnmatch_lines(
        ["  against old.json (*", "    all as it was: baseline, dk, curve, talk", "GATE PASSED"]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--sway-baseline=./out.json", "--sway-json=out.json"],
            "--sway-json=out.json would change the results in --sway-baseline=./out.json, so a failed run",
        ),
        (
            ["--sway-baseline=empty/sway.yaml.json", "--sway-json=empty"],
            "--sway-json=empty would change the results in --sway-baseline=empty/sway.yaml.json",
        ),
        (
            ["--sway-baseline=no.json"],
            "--sway-baseline: file or folder no.json does not exist; create it in a first run with",
        ),
        (
            ["--sway-baseline=empty"],
            "--sway-baseline: folder empty contains no result; pass a file or folder that --sway-json wrote",
        ),
        (["--sway-baseline=sway.yaml"], "--sway-baseline: sway.yaml is not valid JSON"),
        (["--sway-fail-on-regression=0.1"], "add --sway-baseline=RESULT.json"),
        (
            ["--sway-fail-on-regression=0", "--sway-baseline=no.json"],
            "=0: write a number in (0, 1], e.g. 0.1",
        ),
        (["--sway-fail-on-regression=nan", "--sway-baseline=no.json"], "=nan: write a number in (0, 1]"),
        (["--sway-fail-on-regression=ten", "--sway-baseline=no.json"], "=ten: write a number in (0, 1]"),
    ],
)
def test_bad_baselines_are_reported_before_anything_runs(
    project: pytest.Pytester, options: list[str], says: str
) -> None:
    project.mkdir("empty")
    found = project.runpytest(*options, "--collect-only")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in found.stderr.lines if line.startswith("ERROR:")]
    assert says in line

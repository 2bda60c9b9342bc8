"""Saved results side by side: dlm-sway's matrix, ours mixed with dlm-sway's, what became worse."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports.comparison_report import markdown, payload, terminal, text
from pytest_sway.result import SuiteResult
from pytest_sway.suites.comparison_matrix import build_matrix
from pytest_sway.suites.saved_results import parse_saved_result, read_saved_result
from pytest_sway.text import formatting
from pytest_sway.text.paths import stems
from pytest_sway.text.width import width, without_control_characters
from tests.support.saved_results import DLM_SWAY_RESULT


def suite(day: int, overall: float, /, **probes: Any) -> SuiteResult:
    """A result with scores by probe; a mapping gives more than the score."""
    filled = [
        {
            "name": name,
            "kind": "delta_kl",
            "verdict": "pass",
            **(one if isinstance(one, dict) else {"score": one}),
        }
        for name, one in probes.items()
    ]
    stamp = f"2026-01-{day:02d}T03:04:05+00:00"
    content = {"suite": "s", "finished_at": stamp, "score": {"overall": overall}, "probes": filled}
    return parse_saved_result(content, "r.json")


def items(*values: float) -> list[dict[str, Any]]:
    return [{"item": f"item {n}", "value": value} for n, value in enumerate(values)]


def history() -> list[SuiteResult]:
    """Better, then worse in one probe, with one that is gone and one that is new."""
    return [
        suite(1, 0.5, moved=0.6, old=0.7, talk={"verdict": "warn", "score": 0.5}),
        suite(2, 0.8, moved={"score": 0.9, "raw": 0.5, "samples": items(0.4, 0.6)}, old=0.7, talk=0.8),
        suite(
            3,
            0.75,
            moved={"verdict": "fail", "score": 0.3, "raw": 0.1, "samples": items(0.1, 0.1)},
            talk={"verdict": "error", "message": "boom"},
            **{"new|er": 0.4},
        ),
    ]


def test_the_payload_is_dlm_sways() -> None:
    found = payload(build_matrix(history(), ["a", "b", "c"]), 0.1)
    assert found["labels"] == ["a", "b", "c"]
    assert found["timestamps"] == [f"2026-01-0{n}T03:04:05+00:00" for n in (1, 2, 3)]
    assert found["probe_names"] == ["moved", "new|er", "old", "talk"]
    assert found["scores"] == {
        "moved": [0.6, 0.9, 0.3],
        "new|er": [None, None, 0.4],
        "old": [0.7, 0.7, None],
        "talk": [0.5, 0.8, None],
    }
    assert found["deltas"]["moved"] == [pytest.approx(0.3), pytest.approx(-0.6)]
    assert found["deltas"]["old"] == [0.0, None]
    assert found["composite_series"] == [0.5, 0.8, 0.75]
    assert found["regression_threshold"] == 0.1
    assert found["latest_regressions"] == [{"probe": "moved", "delta": pytest.approx(-0.6)}]
    assert [(one["probe"], one["what"]) for one in found["regressions"]] == [
        ("moved", "fail"),
        ("talk", "error"),
        ("old", "vanished"),
    ]
    assert found["verdicts"]["talk"] == ["warn", "pass", "error"]
    (moved,) = [one for one in found["newest"] if one["name"] == "moved"]
    assert moved["items"]["mean_delta"] == pytest.approx(-0.4)
    assert moved["items"]["ci_95"] == pytest.approx([-1.6706, 0.8706], abs=1e-4)  # -0.4 ± 12.706 · 0.1
    assert json.loads(text(build_matrix(history(), ["a", "b", "c"]), 0.1)) == found


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 1))
def test_deltas_and_regressions_follow_the_scores(scores: list[float | None], threshold: float) -> None:
    matrix = build_matrix([suite(1, 0.5, a=one) for one in scores], [str(n) for n in range(len(scores))])
    found = payload(matrix, threshold)
    assert found["scores"] == {"a": scores}
    known = [None if None in (x, y) else y - x for x, y in pairwise(scores)]
    assert found["deltas"] == {"a": known}
    last = known[-1] if known else None
    dropped = last is not None and last < -threshold
    if last is None or abs(last + threshold) > 1e-6:
        assert [one["probe"] for one in found["latest_regressions"]] == ["a"] * dropped
        assert [one.name for one in matrix.regressions(threshold)] == ["a"] * dropped


@pytest.mark.parametrize("threshold", [None, 0.0, -1.0])
def test_no_threshold_is_no_regression(threshold: float | None) -> None:
    matrix = build_matrix(history(), ["a", "b", "c"])
    assert matrix.regressions(threshold) == []
    assert payload(matrix, threshold)["latest_regressions"] == []
    assert not [line for line in terminal(matrix, threshold) if "regression" in line]


def test_what_a_partial_run_left_out_has_not_vanished() -> None:
    then, now = (
        history()[1],
        parse_saved_result(
            {
                "suite": "s",
                "gate": {"status": "partial", "threshold": 0.6, "reasons": []},
                "score": {"overall": 0.1},
                "probes": [{"name": "talk", "kind": "delta_kl", "verdict": "pass", "score": 0.8}],
            },
            "r.json",
        ),
    )
    assert build_matrix([then, now], ["a", "b"]).regressions(0.1) == []


def test_ours_and_dlm_sways_stand_side_by_side() -> None:
    theirs = read_saved_result(DLM_SWAY_RESULT)
    ours = suite(1, 0.9, moved=0.7)
    found = payload(build_matrix([theirs, ours], ["theirs", "ours"]), 0.2)
    assert found["scores"] == {
        "baseline": [1.0, None],
        "moved": [1.0, 0.7],
        "strength": [0.6679921999565546, None],
    }
    assert [(one["probe"], one["what"]) for one in found["regressions"]] == [
        ("moved", "score"),
        ("baseline", "vanished"),
        ("strength", "vanished"),
    ]
    assert found["notes"][0].startswith("the earlier result was written by another tool")


def test_one_result_has_no_change() -> None:
    matrix = build_matrix([read_saved_result(DLM_SWAY_RESULT)], ["only"])
    assert payload(matrix, 0.1)["latest_regressions"] == []
    assert payload(matrix, 0.1)["deltas"]["moved"] == []
    assert any("moved" in line and "1.00" in line for line in terminal(matrix))
    assert "| moved | 1.00 | — |" in markdown(matrix)


@pytest.mark.parametrize(("results", "labels"), [(0, []), (1, []), (1, ["a", "b"])])
def test_a_label_each(results: int, labels: list[str]) -> None:
    with pytest.raises(ValueError, match="one label for each"):
        build_matrix([suite(1, 0.5)] * results, labels)


def test_the_matrix_for_readers(snapshot: SnapshotAssertion) -> None:
    matrix = build_matrix(history(), ["one", "two", "a label|with a bar and more than fits"])
    shown = terminal(matrix, 0.1)
    assert "\n".join(shown) == snapshot(name="terminal")
    assert all(len(line) <= 80 for line in shown)
    assert markdown(matrix, 0.1) == snapshot(name="markdown")


texts = st.text(max_size=40) | st.sampled_from(["名前" * 30, "x" * 200, "a\nb", "\x1b[31mred", "n " * 60])
probes = st.fixed_dictionaries(
    {
        "name": texts,
        "kind": st.sampled_from(["delta_kl", "leakage"]),
        "verdict": st.sampled_from(["pass", "warn", "fail", "skip", "error"]),
        "message": texts,
        "score": st.none() | st.floats(0, 1) | st.just(-1e300),
    }
)
RESULT = {"suite": "s", "score": {"overall": 0.5}}


@settings(max_examples=60)
@given(
    st.lists(st.lists(probes, max_size=2), min_size=1, max_size=3),
    st.lists(texts, min_size=3, max_size=3),
    st.integers(40, 120),
)
def test_no_line_is_wider_than_the_terminal_or_steers_it(
    found: list[list[dict[str, Any]]], said: list[str], columns: int
) -> None:
    results = [
        parse_saved_result({**RESULT, "finished_at": word, "base_model_id": word, "probes": one}, "r.json")
        for one, word in zip(found, said, strict=False)
    ]
    for line in terminal(build_matrix(results, said[: len(results)]), 0.1, columns):
        assert width(line) <= columns
        assert line == without_control_characters(line)


def test_a_long_name_is_complete_above_its_figures() -> None:
    shown = terminal(build_matrix([suite(1, 0.5, **{"名前" * 20: 0.6, "a": 0.7})], ["one"]))
    row = shown.index("  " + "名前" * 19 + "名")
    assert shown[row + 1] == "  前"
    assert shown[row + 2].split() == ["0.60", "—"]
    assert [line.index("0.") for line in shown[row - 1 : row + 3] if "0." in line] == [30, 30]


def test_anybodys_text_is_no_markup() -> None:
    then = suite(1, 0.9, **{"*x*": 0.9})
    now = suite(2, 0.9, **{"*x*": {"verdict": "error", "message": "<img src=x> `a`\n# heading | b"}})
    both = [replace(one, base_model_id=model) for one, model in ((then, "gpt"), (now, "a/<b>*m*"))]
    shown = markdown(build_matrix(both, ["a", "b"]), 0.1).splitlines()
    wanted = (
        "- \\*x\\*: ended in an error (before: pass, score 0.90): &lt;img src=x&gt; \\`a\\` # heading \\| b"
    )
    assert shown[-1] == wanted
    assert "Note: base model gpt then, &lt;b&gt;\\*m\\* now" in shown


def test_another_kind_under_an_old_name_is_reported() -> None:
    results = [suite(1, 0.9, p=0.9), suite(2, 0.9, p={"kind": "leakage", "score": 0.2})]
    matrix = build_matrix(results, ["a", "b"])
    found = payload(matrix, 0.1)
    assert found["deltas"] == {"p": [None]}
    assert found["latest_regressions"] == []
    assert [one["text"] for one in found["regressions"]] == ["p: its kind changed from delta_kl to leakage"]
    (row,) = [line.split() for line in terminal(matrix, 0.1) if line.startswith("  p ")]
    assert row == ["p", "0.90", "0.20", "—"]


def test_a_difference_that_no_double_holds_is_none_in_the_file() -> None:
    matrix = build_matrix([suite(1, 0.9, p=1e308), suite(2, 0.9, p=-1e308)], ["a", "b"])
    assert json.loads(text(matrix, 0.1))["deltas"] == {"p": [None]}


def test_more_results_than_columns_show_the_newest() -> None:
    matrix = build_matrix([suite(1, n / 100, moved=n / 100) for n in range(40)], [str(n) for n in range(40)])
    shown = terminal(matrix)
    (row,) = [line for line in shown if line.startswith("  moved")]
    assert row.split()[-2:] == ["0.39", "+0.01"]
    assert all(len(line) <= 80 for line in shown)
    cells = len(row.split()) - 2
    assert f"  {40 - cells} earlier results are not shown" in shown


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["out/a.json", "b.json"], ["a", "b"]),
        (["x/a.json", "y/a.json", "b.json"], ["x/a", "y/a", "b"]),
        (["r/x/a.json", "s/x/a.json"], ["r/x/a", "s/x/a"]),
        (["a.json", "a.json"], ["a (1)", "a (2)"]),
        (["a.json", "a.txt"], ["a (1)", "a (2)"]),
    ],
)
def test_labels_are_the_files_stems_and_tell_them_apart(paths: list[str], labels: list[str]) -> None:
    assert stems(paths) == labels


names = st.text("ab", min_size=1, max_size=2)


@given(st.lists(st.builds("/".join, st.lists(names, min_size=1, max_size=3)), max_size=6))
def test_no_two_labels_are_alike(paths: list[str]) -> None:
    assert len(set(stems(paths))) == len(paths)


@pytest.mark.parametrize(
    ("delta", "written"),
    [
        (-0.88, "-0.88"),
        (0.02, "+0.02"),
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (-0.001, "0.00"),
        (0.001, "0.00"),
        (None, "—"),
    ],
)
def test_a_difference_has_one_sign(delta: float | None, written: str) -> None:
    assert formatting.change(delta) == written


@pytest.mark.parametrize(("delta", "written"), [(-1234.5, "-1,234.500"), (1e-5, "+1.0e-05"), (0.0, "0.000")])
def test_a_difference_of_raw(delta: float, written: str) -> None:
    assert formatting.change(delta, formatting.raw) == written

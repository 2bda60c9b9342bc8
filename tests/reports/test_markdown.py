"""The Markdown report, read back by a parser of Markdown."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports import step_summary
from pytest_sway.reports.markdown import text
from pytest_sway.reports.markdown_table import escape
from pytest_sway.reports.terminal import lines
from pytest_sway.result import NullSummary, SuiteResult, Verdict
from pytest_sway.session.baseline import Baseline, compare_with_baseline
from pytest_sway.suites.saved_results import read_saved_result
from pytest_sway.text.width import clean
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.suite_results import gate, null, probe, suite, suites

CONTRACT = [
    "sway report", "Components", "Probes", "Top findings", "Skipped probes", "Null-calibration opt-outs",
    "Degenerate null calibration", "Cluster breakdown (cluster_kl)",
]  # fmt: skip
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def plain(found: list) -> str:
    return "".join(token.content if token.type != "image" else "!" for token in found)


def tables(written: str) -> list[list[list[str]]]:
    """Every table's rows of cells, as a reader sees their text."""
    found: list[list[list[str]]] = []
    inside = False
    for token in PARSER.parse(written):
        if token.type in ("table_open", "table_close"):
            inside = token.type == "table_open"
            found += [[]] if inside else []
        elif token.type == "tr_open":
            found[-1].append([])
        elif inside and token.type == "inline":
            found[-1][-1].append(plain(token.children))
    return found


def headings(written: str) -> list[str]:
    tokens = PARSER.parse(written)
    return [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]


@settings(max_examples=25)
@given(suites)
def test_no_text_breaks_the_tables(result: SuiteResult) -> None:
    written = text(result)
    assert all(len({len(row) for row in table}) == 1 for table in tables(written))
    if result.probes:
        (rows,) = [table[1:] for table in tables(written) if table[0][0] == "name" and len(table[0]) == 9]
        assert [(row[0], row[8]) for row in rows] == [
            (clean(p.name), clean(p.message)) for p in result.probes
        ]


@given(st.text("ab1 |\\`*_~<>[](){}!#+-=.&$\n'\"", max_size=30))
def test_what_anybody_wrote_reads_as_it_is(said: str) -> None:
    for written in (f"- {escape(said)}", f"| a |\n| --- |\n| {escape(said)} |"):
        tokens = PARSER.parse(written)
        read_back = [plain(token.children) for token in tokens if token.type == "inline"]
        assert read_back[-1:] == [clean(said)] or not clean(said)
        assert not {token.type for token in tokens} & {"heading_open", "code_block", "html_block", "hr"}


def test_sections_stand_in_dlm_sways_order() -> None:
    no_z = null(reason="all alike", n=2)
    clusters = {"per_cluster_size": [3], "per_cluster_mean_kl": [0.25], "cluster_exemplars": [["one", "two"]]}
    made = suite(
        probe("a", Verdict.SKIP, "no spaCy", evidence={"missing_extra": "style"}),
        probe("b", Verdict.PASS, null=no_z),
        probe("c", Verdict.PASS, evidence=clusters),
        findings=["low"],
        null_summary=NullSummary(not_calibrated={"c": "no null"}),
        score=suite().score.__class__(
            0.8, "healthy", {"ablation": 1.0, "baseline": 1.0}, {"baseline": 0.0}, ["low"]
        ),
    )
    written = text(made)
    assert [name for name in headings(written) if name in CONTRACT] == CONTRACT
    assert ["baseline", "1.00", "0.00", "(informational, weight=0)"] in tables(written)[0]
    assert ["0", "3", "0.250", "one; two"] in tables(written)[-1]
    assert "`pip install 'pytest-sway[style]'`" in written
    assert "- b: all alike" in written
    assert "- c: no null" in written


def test_it_shows_the_terminals_numbers() -> None:
    made = suite(
        probe(
            "a",
            Verdict.WARN,
            "x",
            score=0.987,
            raw=1234.5678,
            z_score=10.0,
            ci_95=(-0.5, 2e-5),
            duration_s=12.34,
        )
    )
    (row,) = [table[1] for table in tables(text(made)) if table[0][0] == "name"]
    assert row == [
        "a",
        "delta_kl",
        "warn",
        "0.99",
        "1,234.568",
        "[-0.500, 2.0e-05]",
        "≥+10.00σ",
        "12.3s",
        "x",
    ]
    shown = next(line for line in lines(made, 80) if line and line[0].text.startswith("WARN"))
    assert shown[1].text.split() == ["a", *(cell for cells in row[3:8] for cell in cells.split())]


def test_a_failed_gate_says_why_and_folds_its_bad_cases() -> None:
    cases = [{"prompt": f"who | {n}?", "reference": "she"} for n in range(21)]
    made = suite(
        probe("a<b", Verdict.FAIL, evidence={"bad_cases": cases}),
        probe("c", Verdict.PASS, evidence={"bad_cases": cases}),
        gate=gate("failed", "1 probe failed: a<b"),
    )
    written = text(made)
    assert written.index("**GATE FAILED**\n\n- 1 probe failed: a&lt;b") < written.index("## Probes")
    assert "<details><summary>a&lt;b: 21, the worst 20</summary>" in written
    assert tables(written)[-1][1:] == [[f"who | {n}?", "she"] for n in range(20)]
    assert written.count("<details>") == 1


def test_what_changed_since_the_baseline_is_a_list() -> None:
    then = suite(probe("a|b", Verdict.PASS, score=0.9, raw=1.0), overall=0.9)
    now = suite(probe("a|b", Verdict.PASS, score=0.7, raw=0.5), overall=0.7)
    (found,) = compare_with_baseline([now], Baseline("old.json", (then,)))
    written = text(found)
    section = written[written.index("## Against the baseline") :]
    assert "- against old.json (a)\n  - composite 0.90 → 0.70 (-0.20)\n" in section
    assert "  - a\\|b pass score 0.90 → 0.70 (-0.20)\n    - raw 1.000 → 0.500" in section
    assert "    a|b  pass  score 0.90 → 0.70 (-0.20)" in [
        "".join(span.text for span in line) for line in lines(found, 80)
    ]


def test_a_result_of_dlm_sway(snapshot: SnapshotAssertion) -> None:
    assert text(read_saved_result(DLM_SWAY_RESULT)) == snapshot


def test_the_file_of_a_run(project: pytest.Pytester, snapshot: SnapshotAssertion) -> None:
    found = project.runpytest("--sway-md=deep/out.md", "--sway-step-summary")
    written = (project.path / "deep" / "out.md").read_text(encoding="utf-8")
    steady = re.sub(r"\S+(?=/adapters)", "…", re.sub(r"\d+\.\d+s", "N.NNs", written))
    assert steady == snapshot
    found.stdout.fnmatch_lines(["--sway-step-summary wrote nothing, because GITHUB_STEP_SUMMARY is not set"])


def test_a_summary_that_cannot_be_written_is_reported_and_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path))
    found = project.runpytest("--sway-step-summary", "--sway-md=conftest.py/out.md")
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    found.stdout.fnmatch_lines(
        ["--sway-md=conftest.py/out.md could not be written:*", "--sway-step-summary could not be written:*"]
    )


def test_the_summary_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    two = [suite(probe("a", Verdict.PASS)), suite(probe("b", Verdict.PASS))]
    assert not step_summary.append(two)
    target = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    target.write_text("before\n")
    assert step_summary.append(two)
    assert target.read_text() == "before\n" + text(two[0]) + "\n" + text(two[1])


def test_the_summary_keeps_to_githubs_mebibyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert step_summary._MOST == 1024 * 1024
    monkeypatch.setattr(step_summary, "_MOST", 20_000)
    target = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    cases = [{"prompt": "é" * 1_000, "reference": "x"}] * 12
    failed = suite(probe("a", Verdict.FAIL, evidence={"bad_cases": cases}))
    target.write_bytes(b"x" * 3_000)
    step_summary.append([failed])
    written = target.read_text(encoding="utf-8")
    assert 17_000 < len(written.encode()) <= 20_000
    assert written.endswith("`--sway-md=PATH` writes the whole report.\n")
    assert written.count("<details>") == written.count("</details>") == 1
    for taken in (20_000, 19_990):
        target.write_bytes(b"x" * taken)
        with pytest.raises(OSError, match="is full: GitHub shows at most 1 MiB per step"):
            step_summary.append([failed])
        assert target.stat().st_size == taken


def test_the_summary_begins_on_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    for before, start in (("echo -n", "echo -n\n# sway"), ("line\n", "line\n# sway"), ("", "# sway")):
        target.write_text(before)
        step_summary.append([suite(probe("a", Verdict.PASS))])
        assert target.read_text().startswith(start)


def test_half_a_surrogate_pair_does_not_hinder_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    step_summary.append([suite(probe("a", Verdict.PASS), band="\ud800")])
    assert "**PASSED**: ?." in target.read_text(encoding="utf-8")

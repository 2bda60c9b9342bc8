"""Hostile texts in every place of a result, through every report: they are shown, and do nothing."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from pytest_sway.cli.main import main
from pytest_sway.reports import (
    comparison_report,
    json_report,
    junit_document,
    markdown,
    ranking_report,
    report_files,
    samples_text,
    step_summary,
    terminal,
    trace_report,
)
from pytest_sway.reports.html import page
from pytest_sway.reports.html.series_page import comparison_page, ranking_page
from pytest_sway.result import SuiteResult
from pytest_sway.serve.index_page import index_page
from pytest_sway.serve.messages import LoadedModel
from pytest_sway.session.baseline import Baseline, compare_with_baseline
from pytest_sway.suites.comparison_matrix import build_matrix
from pytest_sway.suites.ranking import rank
from tests.hostile.texts import ALL, TEXTS, hostile_suite, terminal_faults

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_OURS = re.compile(r"<(/?)(details|summary)>|</?br>")
_VOID = {"meta", "input", "wbr", "br"}


@pytest.fixture(params=["all", *(pytest.param(name, marks=pytest.mark.nightly) for name in TEXTS)])
def text(request: pytest.FixtureRequest) -> str:
    return {"all": ALL, **TEXTS}[request.param]


@pytest.fixture
def suite(text: str) -> SuiteResult:
    return hostile_suite(text)


def _compared(suite: SuiteResult) -> SuiteResult:
    """The suite against an earlier one of other figures."""
    earlier = replace(suite, probes=tuple(replace(one, score=0.9, raw=0.1) for one in suite.probes))
    return compare_with_baseline([suite], Baseline(suite.suite, (earlier,), 0.1))[0]


def _joined(lines: Any) -> str:
    return "\n".join(line if isinstance(line, str) else "".join(span.text for span in line) for line in lines)


def markdown_faults(text: str) -> list[str]:
    """Links, images, HTML and headings that are not ours."""
    found = terminal_faults(text)
    for token in MARKDOWN.parse(text):
        for one in [token, *(token.children or ())]:
            if one.type in ("link_open", "image", "fence", "code_block", "html_inline"):
                found.append(f"{one.type}: {one.content or one.attrs}"[:200])
            elif one.type == "html_block" and re.search(
                r"<[a-z/!?]", _OURS.sub("", one.content), re.IGNORECASE
            ):
                found.append(f"HTML: {one.content[:200]}")
            elif one.type == "heading_open" and one.markup not in ("#", "##"):
                found.append(f"a heading {one.markup}")
    allowed = {"sway report", "sway compare", "sway trace", "Regressions"}
    headings = re.findall(r"^# (.*)$", text, re.MULTILINE)
    return [*found, *(f"a heading: {line}" for line in headings if line not in allowed)]


class _Tags(HTMLParser):
    """The tags of a page, what they hold being closed in their order."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "iframe", "svg", "a", "base", "object", "link") and not self._is_ours(tag, attrs):
            self.faults.append(f"<{tag} {attrs}>"[:200])
        if tag == "script" and len(self._open) > 2:
            self.faults.append("a script inside the page")
        self.faults += [f"{name} of {tag}" for name, _ in attrs if name.startswith("on")]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")

    @staticmethod
    def _is_ours(tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        return tag == "a" and str(dict(attrs).get("href", "")).startswith(("#", "/runs/"))


def test_terminal(suite: SuiteResult, text: str) -> None:
    for columns in (60, 200):
        for verbosity in (-1, 0, 1):
            assert terminal_faults(_joined(terminal.lines(_compared(suite), columns, verbosity))) == []
    absent = replace(suite, not_evaluated=text)
    assert terminal_faults(_joined(terminal.lines(absent, 80))) == []
    for probe in samples_text.sample_probes(suite):
        assert terminal_faults(_printed(_joined(samples_text.terminal(probe)))) == []


def test_markdown(suite: SuiteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert markdown_faults(markdown.text(_compared(suite))) == []
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert step_summary.append([suite, suite])
    assert markdown_faults((tmp_path / "summary.md").read_text("utf-8")) == []


def test_html(suite: SuiteResult, text: str) -> None:
    assert _Tags(page(_compared(suite), "let plotly;")).faults == []
    matrix = build_matrix([suite, suite], [text, f"{text}2"])
    assert _Tags(comparison_page(matrix, 0.1)).faults == []
    assert _Tags(ranking_page(rank([suite, suite], [text, f"{text}2"]))).faults == []


def test_index_page_of_the_daemon(text: str) -> None:
    runs = [
        SimpleNamespace(id="abc", label=text, state=text, result=None, error=text, seconds=1.0),
        SimpleNamespace(
            id="abc", label=text, state=text, result={"score": {"overall": text}}, error=text, seconds=1.0
        ),
    ]
    supervisor: Any = SimpleNamespace(
        models=[LoadedModel(text, 1)], history=SimpleNamespace(newest_first=lambda: runs)
    )
    assert _Tags(index_page(supervisor)).faults == []


def test_junit(suite: SuiteResult) -> None:
    document = ET.fromstring(junit_document.text(suite).encode("utf-8"))
    assert {element.tag for element in document.iter()} <= {
        "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out",
    }  # fmt: skip
    assert len(document.findall("testcase")) == len(suite.probes) + 1


def test_json(suite: SuiteResult) -> None:
    written = json_report.text(suite)
    assert terminal_faults(written) == []
    assert json.loads(written)["probes"][-1]["message"] == suite.probes[-1].message


def test_comparison_and_ranking(suite: SuiteResult, text: str) -> None:
    matrix = build_matrix([suite, suite], [text, f"{text}2"])
    lines = comparison_report.terminal(matrix, 0.1)
    assert terminal_faults(_printed("\n".join(lines))) == []
    assert markdown_faults(comparison_report.markdown(matrix, 0.1)) == []
    assert terminal_faults(comparison_report.text(matrix, 0.1)) == []
    ranking = rank([suite, suite], [text, f"{text}2"])
    assert terminal_faults(_printed("\n".join(ranking_report.terminal(ranking)))) == []
    assert terminal_faults(ranking_report.text(ranking)) == []


def _printed(text: str) -> str:
    """What a command writes to standard output."""
    from pytest_sway.cli.output import write_text

    written = io.StringIO()
    with redirect_stdout(written):
        write_text(text, None)
    return written.getvalue()


def test_trace(text: str) -> None:
    event = {
        "ts": 1.0,
        "probe": text,
        "view_id": text,
        "prompt_hash": text,
        "op": text,
        "wall_ms": 1.0,
        "hit": False,
    }
    report = trace_report.sum_trace([json.dumps(event).encode()])
    assert terminal_faults(_printed(_joined(trace_report.terminal(report)))) == []
    assert markdown_faults(trace_report.markdown(report)) == []


@pytest.mark.parametrize("form", ["terminal", "md", "json", "junit"])
def test_a_saved_result_on_the_command_line(suite: SuiteResult, tmp_path: Path, form: str) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(json_report.payload(suite)), "utf-8")
    written = io.StringIO()
    with redirect_stdout(written), redirect_stderr(written):
        assert main(["report", str(file), "--format", form]) == 0
    assert terminal_faults(written.getvalue()) == []


def test_a_message_of_a_command(text: str) -> None:
    name = text.replace("\0", "")[:200]
    written = io.StringIO()
    with redirect_stdout(written), redirect_stderr(written):
        assert main(["report", f"./{name}" if name.startswith("-") else name]) == 2
    assert terminal_faults(written.getvalue()) == []


def test_files_stand_in_their_folder(text: str, tmp_path: Path) -> None:
    target = tmp_path / "reports"
    target.mkdir()
    suites = [replace(hostile_suite("x"), suite=name) for name in (text, f"{text}/..", "..", ".", "")]
    report_files.write_suites(suites, str(target), ".json", lambda _: "{}")
    assert len(list(target.iterdir())) == 5
    assert list(tmp_path.iterdir()) == [target]

"""Readers of results that were written before: of today, of earlier versions, of dlm-sway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pytest_sway.reports import comparison_report, json_report, junit_document, markdown, terminal
from pytest_sway.result import SuiteResult
from pytest_sway.suites.comparison_matrix import build_matrix
from pytest_sway.suites.saved_results import SavedResultError, parse_saved_result, read_saved_result
from tests.fuzz.mutations import json_documents, write_json
from tests.fuzz.reader import Reader
from tests.support import report_pages
from tests.support.saved_results import DLM_SWAY_RESULT

_OURS = json.loads(json_report.text(report_pages.suite()))
_LATER_FIELDS = ("digests", "gate", "baseline", "calibration", "null_stats_by_rank", "wall_seconds", "notes")
_EARLIER = {key: value for key, value in _OURS.items() if key not in _LATER_FIELDS}
_DLM_SWAY = json.loads(DLM_SWAY_RESULT.read_text("utf-8"))
_SMALLEST = {"score": {"overall": 0.5}, "probes": [{"name": "a", "kind": "delta_kl", "verdict": "pass"}]}
_SOUND = (_OURS, _EARLIER, _DLM_SWAY, _SMALLEST)
_COLUMNS = 80


def _render(suite: SuiteResult) -> None:
    """What ``sway report`` makes of it."""
    for line in terminal.lines(suite, _COLUMNS):
        "".join(span.text for span in line).encode("utf-8", "replace")
    again = parse_saved_result(json.loads(json_report.text(suite)), "the result that was written again")
    assert [probe.verdict for probe in again.probes] == [probe.verdict for probe in suite.probes]
    markdown.text(suite)
    junit_document.text(suite)


def _compare(suite: SuiteResult) -> None:
    """What ``sway compare`` makes of it beside a sound one."""
    sound = parse_saved_result(_DLM_SWAY, "a sound result")
    matrix = build_matrix([sound, suite, sound], ["a", "b", "c"])
    comparison_report.terminal(matrix, 0.1, _COLUMNS)
    comparison_report.markdown(matrix, 0.1)
    json.loads(comparison_report.text(matrix, 0.1))


def _reader(name: str, use: Callable[[SuiteResult], None]) -> Reader:
    def read(file: Path) -> None:
        use(read_saved_result(file))

    sound = [write_json(one) for one in _SOUND]
    return Reader(name, "result.json", read, (SavedResultError,), json_documents(*_SOUND), sound=sound)


READERS = [_reader("saved-result", _render), _reader("compared-result", _compare)]

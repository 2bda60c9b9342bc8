"""The plugin object of the process that reports: collects results, gates suites, writes the reports.

It is registered in every run, so it imports what it needs only once there is something of ours to report.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from pytest_sway.session.plan import plan_of
from pytest_sway.text.width import log_lines, without_control_characters

if TYPE_CHECKING:
    from pytest_sway.result import ProbeResult, SuiteResult
    from pytest_sway.session.suite_reports import SuiteReports
    from pytest_sway.suites.cost_plan import PlannedProbe

_FILES = [
    ("sway_json", ".json", "pytest_sway.reports.json_report"),
    ("sway_md", ".md", "pytest_sway.reports.markdown"),
    ("sway_html", ".html", "pytest_sway.reports.html"),
]
"""Option, suffix, and the module whose ``text`` writes a suite."""
UNWRITTEN = pytest.StashKey[list[str]]()
"""Messages about reports that were asked for and could not be written."""


class Controller:
    """Registered in the process that reports; never in an xdist worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: dict[str, SuiteReports] = {}
        self._measured: list[tuple[str, ProbeResult]] = []
        self._planned: list[PlannedProbe] = []
        self._suites: list[SuiteResult] = []
        self._errors: list[str] = []
        self._notes: list[str] = []
        self._has_summary = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take an item's results off its report."""
        if (text := getattr(report, "sway_planned", None)) is not None:
            from pytest_sway.suites.cost_plan import PlannedProbe
            from pytest_sway.suites.json_conversion import from_json

            self._planned.append(from_json(PlannedProbe, json.loads(text)))
        elif (text := getattr(report, "sway", None)) is not None:
            self._add(text, report)
        if str(report.outcome) == "rerun":  # pytest-rerunfailures': another attempt follows
            return
        for text in getattr(report, "sway_measured", []):
            from pytest_sway.result import ProbeResult
            from pytest_sway.suites.json_conversion import from_json

            self._measured.append((report.nodeid, from_json(ProbeResult, json.loads(text))))

    def _add(self, text: str, report: pytest.TestReport) -> None:
        from pytest_sway.session.item_report import ItemReport
        from pytest_sway.session.suite_reports import SuiteReports

        try:
            item = ItemReport.from_text(text)
        except ValueError as error:  # a fixture of the user's may give what is no result
            self._errors.append(f"{report.nodeid}: the result of this test cannot be read: {error}")
            return
        all_run_it = self._config.getoption("dist", "no") == "each"
        worker = getattr(report, "worker_id", "") if all_run_it else ""
        self._reports.setdefault(item.suite, SuiteReports()).add(item, report.start, report.stop, worker)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Compose, write the files, gate; then let pytest write its JUnit file.

        The innermost wrapper, so that the summary is shown also where that file cannot be written.
        """
        self._finish(session)
        if not self._suites:
            return (yield)
        from pytest_sway.reports import junit

        with junit.written_atomically(self._config) as messages:
            yield
        for message in messages:
            self._note_unwritten(message)
        if messages and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _finish(self, session: pytest.Session) -> None:
        plan = plan_of(self._config)
        options = session.config.option
        looking = options.collectonly or options.setuponly or options.setupplan or options.sway_plan
        if looking or not plan.suites:
            return
        from pytest_sway.reports import junit
        from pytest_sway.session.baseline import BASELINE, compare_with_baseline
        from pytest_sway.session.suite_reports import ReportOptions, compose

        stopped = session.exitstatus == pytest.ExitCode.INTERRUPTED
        run = ReportOptions.of(self._config, stopped=stopped)
        self._suites = compose(plan, self._reports, run)
        if BASELINE in self._config.stash:
            self._suites = compare_with_baseline(self._suites, self._config.stash[BASELINE])
        junit.add_suites(self._config, self._suites)
        if self._reports or not stopped:  # else a good result of an earlier run would be replaced by nothing
            self._write_files()
            self._write_step_summary()
        failed = any(suite.gate.failed for suite in self._suites)
        self._call_report_hooks()
        if (failed or self._errors) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show every suite."""
        if self._planned:
            from pytest_sway.reports import cost_table

            cost_table.show(terminalreporter, self._planned)
        if not self._suites and not self._measured:
            return
        from pytest_sway.reports import terminal

        self._has_summary = True
        terminal.show(terminalreporter, self._suites, self._measured)
        if self._config.get_verbosity() >= 0:
            for line in self._notes:
                terminalreporter.write_line(without_control_characters(line))
        for error in self._errors:
            terminalreporter.write_line(log_lines(error), red=True, bold=True)

    def pytest_unconfigure(self) -> None:
        """A failed gate is never silent: without a summary it goes to stderr."""
        if self._has_summary or not self._suites:
            return
        for error in self._errors:
            sys.stderr.write(log_lines(f"sway: {error}\n"))
        for suite in self._suites:
            if suite.gate.failed:
                reasons = "; ".join(suite.gate.reasons)
                sys.stderr.write(log_lines(f"sway: GATE FAILED {suite.suite}: {reasons}\n"))

    def _call_report_hooks(self) -> None:
        """Give the results to third-party reports; these may fail, ours are written by then."""
        if not self._suites:
            return
        from pytest_sway.session.third_party_reports import call_report_hooks

        # a copy, since hooks must not change what is gated
        lines, errors = call_report_hooks(self._config, deepcopy(self._suites))
        self._notes += lines
        self._errors += errors

    def _write_files(self) -> None:
        """Every file that was asked for, also where one before it cannot be written."""
        from pytest_sway.reports.report_files import write_suites

        for option, suffix, module in _FILES:
            target = self._config.getoption(option)
            if not target or not self._suites:
                continue
            try:
                write_suites(self._suites, target, suffix, import_module(module).text)
            except (OSError, ValueError) as error:
                name = option.replace("_", "-")
                self._note_unwritten(f"--{name}={target} could not be written: {_reason(error)}")

    def _write_step_summary(self) -> None:
        """Append to the page of the GitHub job, where the option asks for it and there is one."""
        if not self._config.getoption("sway_step_summary") or not self._suites:
            return
        from pytest_sway.reports import step_summary

        try:
            if not step_summary.append(self._suites):
                self._notes.append(
                    f"--sway-step-summary wrote nothing, because {step_summary.VARIABLE} is not set"
                )
        except OSError as error:
            self._note_unwritten(f"--sway-step-summary could not be written: {_reason(error)}")

    def _note_unwritten(self, message: str) -> None:
        self._errors.append(message)
        self._config.stash.setdefault(UNWRITTEN, []).append(message)


def _reason(error: Exception) -> str:
    """Why a file could not be written, without its temporary name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

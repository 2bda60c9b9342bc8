"""The object that listens where pytest reports: collects results, gates, hands them to the reports.

It is there in every run, so it imports its rooms only once there is something of ours to report.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sway.session.plan import left_out_of, plan_of

if TYPE_CHECKING:
    from pytest_sway.result import SuiteResult
    from pytest_sway.session.suite_reports import SuiteReports

_FILES = [
    ("sway_json", ".json", "pytest_sway.reports.json_report"),
    ("sway_md", ".md", "pytest_sway.reports.markdown"),
    ("sway_html", ".html", "pytest_sway.reports.html"),
]
"""Option, suffix, and the module whose ``text`` writes a suite."""


class Controller:
    """Registered in the process that reports; never in an xdist worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: list[tuple[dict[str, Any], float, float, str]] = []
        self._measured: list[tuple[str, dict[str, Any]]] = []
        self._suites: list[SuiteResult] = []
        self._trouble: list[str] = []
        self._told: list[str] = []
        self._shown = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what an item measured."""
        text = getattr(report, "sway", None)
        if text is not None:
            wire = json.loads(text)
            all_run_it = self._config.getoption("dist", "no") == "each"
            worker = getattr(report, "worker_id", "") if all_run_it else ""
            self._reports.append((wire, report.start, report.stop, worker))
        if str(report.outcome) == "rerun":  # pytest-rerunfailures': another attempt follows
            return
        for measured in getattr(report, "sway_measured", []):
            self._measured.append((report.nodeid, json.loads(measured)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compose, write the files, gate. The first of its hooks: JUnit is written after it."""
        plan = plan_of(self._config)
        options = session.config.option
        looking = options.collectonly or options.setuponly or options.setupplan
        if looking or not plan:
            return
        from pytest_sway.options import BASELINE, options_of
        from pytest_sway.reports import junit
        from pytest_sway.session.suite_reports import compose

        stopped = session.exitstatus == pytest.ExitCode.INTERRUPTED
        run = replace(options_of(self._config), stopped=stopped)
        self._suites = compose(plan, self._intakes(), run, left_out_of(self._config).values())
        if BASELINE in self._config.stash:
            from pytest_sway.session.baseline import against

            self._suites = against(self._suites, self._config.stash[BASELINE])
        junit.add_suites(self._config, self._suites)
        self._write_files()
        self._write_step_summary()
        failed = any(suite.gate.failed for suite in self._suites)
        self._hand_out()
        if (failed or self._trouble) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show every suite."""
        if not self._suites and not self._measured:
            return
        from pytest_sway.reports import terminal

        self._shown = True
        terminal.show(terminalreporter, self._suites, self._measured)
        if self._config.get_verbosity() >= 0:
            for line in self._told:
                terminalreporter.write_line(line)
        for trouble in self._trouble:
            terminalreporter.write_line(trouble, red=True, bold=True)

    def pytest_unconfigure(self) -> None:
        """A failed gate is never silent: without a summary it goes to stderr."""
        if self._shown or not self._suites:
            return
        for trouble in self._trouble:
            sys.stderr.write(f"sway: {trouble}\n")
        for suite in self._suites:
            if suite.gate.failed:
                sys.stderr.write(f"sway: GATE FAILED {suite.suite}: {'; '.join(suite.gate.reasons)}\n")

    def _hand_out(self) -> None:
        """Give the results to the reports of others; theirs may fail, ours are written by then."""
        if not self._suites:
            return
        from pytest_sway.session.third_party_reports import call_report_hooks

        told, troubles = call_report_hooks(
            self._config, deepcopy(self._suites)
        )  # theirs to read, not to change
        self._told += told
        self._trouble += troubles

    def _write_files(self) -> None:
        """Every file that was asked for; one that cannot be written is told, and hinders no other."""
        from pytest_sway.reports.report_files import write_suites

        for option, suffix, module in _FILES:
            target = self._config.getoption(option)
            if not target or not self._suites:
                continue
            try:
                write_suites(self._suites, target, suffix, import_module(module).text)
            except (OSError, ValueError) as error:
                name = option.replace("_", "-")
                self._trouble.append(f"--{name}={target} could not be written: {error}")

    def _write_step_summary(self) -> None:
        """For GitHub's page of the job, where that was asked for and there is one."""
        if not self._config.getoption("sway_step_summary") or not self._suites:
            return
        from pytest_sway.reports import step_summary

        try:
            if not step_summary.append(self._suites):
                self._told.append(f"--sway-step-summary: {step_summary.VARIABLE} is not set, nothing written")
        except OSError as error:
            self._trouble.append(f"--sway-step-summary could not be written: {error}")

    def _intakes(self) -> dict[str, SuiteReports]:
        from pytest_sway.session.suite_reports import SuiteReports

        intakes: dict[str, SuiteReports] = {}
        for wire, start, stop, worker in self._reports:
            intakes.setdefault(wire["suite"], SuiteReports()).take(wire, start, stop, worker)
        return intakes

"""Suites in pytest's own JUnit XML: their properties, and their gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any, Literal

import pytest

from pytest_sway.atomic_files import can_be_replaced, file_beside
from pytest_sway.result import SuiteResult


def add_suites(config: pytest.Config, suites: Sequence[SuiteResult]) -> None:
    """Properties and the gate of every suite, where ``--junitxml`` asked for a file.

    With one suite the properties' names are schema 1's (``overall``, ``band``, ``component.<category>``);
    with several they are led by the suite's id. The gate is a testcase of its own, ``<suite>::gate``: whoever
    reads the file with another tool sees it fail.
    """
    xml = _log_xml(config)
    if xml is None:
        return
    for suite in suites:
        lead = f"{suite.suite}." if len(suites) > 1 else ""
        for name, value in suite_properties(suite).items():
            xml.add_global_property(lead + name, value)
        for report in _gate_reports(suite):
            xml.pytest_runtest_logreport(report)


@contextmanager
def written_atomically(config: pytest.Config) -> Iterator[list[str]]:
    """While pytest writes its JUnit file: it is there completely or not at all.

    Yields:
        Messages about a file that could not be written, which are there at the end.
    """
    messages: list[str] = []
    xml = _log_xml(config)
    target = None if xml is None else Path(xml.logfile)
    if xml is None or target is None or not can_be_replaced(target):
        yield messages
        return
    try:
        with file_beside(target) as temporary:
            xml.logfile = str(temporary.path)
            yield messages
            temporary.give_name()
    except OSError as error:
        if not _is_of_junit(error):
            raise
        messages.append(f"--junitxml={target} could not be written: {error.strerror or error}")
    finally:
        xml.logfile = str(target)


def _is_of_junit(error: OSError) -> bool:
    """Whether pytest's writer or ours raised it, and not another plugin."""
    modules = {frame.f_globals.get("__name__") for frame, _ in walk_tb(error.__traceback__)}
    return not modules.isdisjoint({"_pytest.junitxml", "pytest_sway.atomic_files"})


def _log_xml(config: pytest.Config) -> Any:
    """Pytest's writer of the file; None where it writes none."""
    try:
        from _pytest.junitxml import xml_key
    except ImportError:  # a pytest that moved it: exit status and summary tell the gate
        return None
    return config.stash.get(xml_key, None)


def _gate_reports(suite: SuiteResult) -> Iterator[pytest.TestReport]:
    """What a test of the gate would have reported."""
    status, reasons = suite.gate.status, suite.gate.reasons
    text = "\n".join([f"GATE {status.upper()}", *reasons])
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    longrepr: Any = None
    if status == "failed":
        outcome, longrepr = "failed", text
    elif status == "partial":
        outcome, longrepr = "skipped", (suite.spec_path, 0, text)
    nodeid = suite.suite.replace("::", ".") + "::gate"
    where = (suite.spec_path, None, "gate")
    yield pytest.TestReport(nodeid, where, {}, outcome, longrepr, "call")
    yield pytest.TestReport(nodeid, where, {}, "passed", None, "teardown")


def suite_properties(suite: SuiteResult) -> dict[str, str]:
    """Of schema 1: composite, band, categories; and the gate."""
    score = suite.score
    components = {f"component.{name}": f"{v:.4f}" for name, v in score.components.items()}
    gate = "; ".join([suite.gate.status, *suite.gate.reasons])
    if suite.not_evaluated:
        return {"gate": gate}
    return {"overall": f"{score.overall:.4f}", "band": score.band, **components, "gate": gate}

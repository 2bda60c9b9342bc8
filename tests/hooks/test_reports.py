"""Reports of others come after ours, and cannot take anything from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

SERVES = """
from tests.support import fake_models
def pytest_sway_backend(config, model): return fake_models.backend(model)
"""


class Taking:
    """Notes what it was given, and whether our file was there by then."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.given: list[Any] = []

    def pytest_sway_report(self, config: pytest.Config, suites: Any) -> Any:
        path = config.getoption("sway_json")
        self.given.append((suites, bool(path) and (config.invocation_params.dir / path).is_file()))
        return self.answer


def test_it_is_called_once_after_the_gate_and_our_files(project: pytest.Pytester) -> None:
    taking = Taking(["first", "second\nthird"])
    result = project.runpytest("--sway-json=out.json", "--sway-threshold=0.99", plugins=[taking])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [([suite], written)] = taking.given
    assert written
    assert (suite.gate.status, suite.suite) == ("failed", "sway.yaml")
    assert [probe.name for probe in suite.probes] == ["baseline", "dk", "curve", "talk"]
    result.stdout.fnmatch_lines(["GATE FAILED sway.yaml*", "first", "second", "third"], consecutive=False)
    quiet = project.runpytest("-q", plugins=[taking])
    quiet.stdout.no_fnmatch_line("second")


@pytest.mark.parametrize(
    "arguments", [["--collect-only"], ["--setup-plan"], ["-k", "nothing"], ["test_other.py"]]
)
def test_it_is_not_called_where_nothing_was_measured(project: pytest.Pytester, arguments: list[str]) -> None:
    taking = Taking()
    project.makepyfile(test_other="def test_it(): pass")
    project.runpytest(*arguments, plugins=[taking])
    assert taking.given == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no disk\\nand more')", "failed: ValueError: no disk (conftest.py:6)"),
        pytest.param("raise SystemExit(0)", "failed: SystemExit: 0 (conftest.py:6)", marks=pytest.mark.slow),
        pytest.param(
            "pytest.fail('a test of mine')",
            "failed: Failed: a test of mine (conftest.py:6)",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "return {'a': 1}",
            "returned a value of type dict; it must return a string, a list of strings or None",
            marks=pytest.mark.slow,
        ),
        ("return [1]", "returned a value of type list; it must return a string, a list of strings or None"),
    ],
)
def test_a_broken_one_is_one_line_and_fails_the_run(project: pytest.Pytester, body: str, says: str) -> None:
    project.makeconftest(f"import pytest{SERVES}\ndef pytest_sway_report(suites):\n    {body}\n")
    taking = Taking("another report")
    result = project.runpytest("--sway-json=out.json", "--junitxml=out.xml", plugins=[taking])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["GATE PASSED", "another report", f"pytest_sway_report of conftest.py {says}", "*4 passed*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert json.loads((project.path / "out.json").read_text())["gate"]["status"] == "passed"
    assert (project.path / "out.xml").is_file()
    assert len(taking.given) == 1


def test_without_a_terminal_a_broken_one_is_reported_on_stderr(project: pytest.Pytester) -> None:
    project.makeconftest(SERVES + "\ndef pytest_sway_report(): return 1 / 0\n")
    result = project.runpytest("-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stderr.fnmatch_lines(["sway: pytest_sway_report of conftest.py failed: ZeroDivisionError*"])


def test_two_broken_ones_are_two_lines_and_a_worse_status_stays(project: pytest.Pytester) -> None:
    stops = "import pytest\ndef pytest_runtest_logfinish(): pytest.exit('enough')\n"
    project.makeconftest(f"{SERVES}\ndef pytest_sway_report(): return 1 / 0\n{stops}")
    result = project.runpytest(plugins=[Taking(7)])
    result.stdout.fnmatch_lines(
        [
            "pytest_sway_report of conftest.py failed: ZeroDivisionError: *",
            "pytest_sway_report of Taking returned a value of type int; *",
        ]
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.slow
def test_under_xdist_only_the_reporting_process_calls_it(project: pytest.Pytester) -> None:
    project.makeconftest(
        SERVES
        + """
def pytest_sway_report(config, suites):
    return [f"REPORT {hasattr(config, 'workerinput')} {s.suite} {s.gate.status}" for s in suites]
"""
    )
    result = project.runpytest("-n2")
    result.assert_outcomes(passed=4)
    assert [line for line in result.outlines if line.startswith("REPORT")] == [
        "REPORT False sway.yaml passed"
    ]

"""Packages import only what is below them, and dlm-sway beside pytest-sway is refused."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import pytest
from importlinter import cli

from tests.support.paths import ROOT


def test_imports_look_down_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS


def test_no_circle_of_imports_also_inside_packages() -> None:
    """Imports within functions and for type checkers count too."""
    graph = grimp.build_graph("pytest_sway")
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    list(TopologicalSorter(imports).static_order())  # CycleError names the circle


def test_a_project_without_sway_loads_no_records(pytester: pytest.Pytester) -> None:
    """Its runs pass through every hook of ours, and building the records takes longer than all of them."""
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            print("records loaded:", "pytest_sway.result" in sys.modules)
        """
    )
    result = pytester.runpytest_subprocess("-s", ".")
    result.stdout.fnmatch_lines(["*records loaded: False*"])


def test_the_controller_needs_no_numpy() -> None:
    """Composing, gating and reporting import neither numpy nor torch: a controller under ``-n`` has none."""
    reports = "html json_report junit markdown step_summary terminal"
    modules = " ".join(["session.controller options", *(f"reports.{name}" for name in reports.split())])
    script = (
        "import importlib, sys\n"
        f"for name in {modules.split()!r}:\n    importlib.import_module('pytest_sway.' + name)\n"
        "print(sorted(n for n in ('numpy', 'scipy', 'torch', 'pydantic', 'yaml') if n in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_dlm_sway_beside_pytest_sway_is_one_clear_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution whose pytest11 entry point is called ``sway``, as dlm-sway's is."""
    site = pytester.mkdir("site")
    (site / "dlm_sway_plugin.py").write_text("")
    info = site / "dlm_sway-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlm-sway\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nsway = dlm_sway_plugin\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    found = pytester.runpytest_subprocess()
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["ERROR: dlm-sway and pytest-sway are both installed*pip uninstall dlm-sway*"])
    assert pytester.runpytest_subprocess("-p", "no:pytest_sway").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    ours = pytester.runpytest_subprocess("-p", "no:sway", "-p", "pytest_sway.plugin", "--markers")
    ours.stdout.fnmatch_lines(["@pytest.mark.sway(spec, threshold=None*"])


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    found = pytester.runpytest_subprocess("-p", "no:pytest_sway", "--markers")
    found.stdout.no_fnmatch_line("*mark.sway*")
    assert found.ret == 0

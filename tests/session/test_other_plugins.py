"""Beside other plugins and under other options: the same results as alone without any of them.

Plugins are loaded by name and not by themselves, so that each row has what it names and nothing else.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import worker_project

CODE_FIRST = """
from pytest_sway.probes.delta_kl import DeltaKL

def test_code_first(sway):
    assert sway(DeltaKL(prompts=["one", "two", "three"])).verdict == "pass"
"""
PLUGINS = {
    "nothing": [],
    "timeout": ["-p", "timeout", "--timeout=60"],
    "randomly": ["-p", "randomly", "--randomly-seed=3"],
    "rerunfailures": ["-p", "rerunfailures", "--reruns=1"],
    "cov": ["-p", "pytest_cov", "--cov=.", "--cov-report="],
    "html": ["-p", "metadata", "-p", "html", "--html=report.html"],
    "no cache": ["-p", "no:cacheprovider"],
    "no terminal": ["-p", "no:terminal"],
    "strict markers": ["--strict-markers", "--strict-config"],
    "warnings are errors": ["-W", "error"],
    "importlib": ["--import-mode=importlib"],
}
WORKERS = {
    "alone": [],
    "-n0": ["-p", "xdist", "-n", "0"],
    "-n2": ["-p", "xdist", "-n", "2"],
}
FIRST_TRY = {"rerunfailures": {("weak.sway.yaml", "dk", ())}}
"""pytest-rerunfailures writes what it runs again as a testcase of its own, without an outcome."""
MODULES = {"cov": "pytest_cov", "html": "pytest_html"}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A spec, one that fails its gate, a marked test and a code-first one; no plugin loads by itself."""
    worker_project.make(pytester)
    (pytester.path / "fleet.sway.yaml").unlink()
    pytester.makepyfile(test_code=CODE_FIRST)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS")
    return pytester


def run(project: pytest.Pytester, name: str, *arguments: str) -> tuple[int, dict[str, Any], set[Any]]:
    status, results, cases = worker_project.run(project, name, "-p", "pytest_sway", *arguments)
    return status, results, {(classname, case, outcome) for classname, case, outcome, _ in cases}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", PLUGINS)
def test_others_change_nothing(project: pytest.Pytester, plugin: str) -> None:
    if plugin in ("timeout", "randomly", "rerunfailures", "cov", "html"):
        pytest.importorskip(MODULES.get(plugin, f"pytest_{plugin}"))
    bare = run(project, "bare")
    assert bare[0] == 1
    assert len(bare[1]) == 3
    for workers, options in WORKERS.items():
        status, results, cases = run(project, workers, *options, *PLUGINS[plugin])
        assert (status, results, cases - FIRST_TRY.get(plugin, set())) == bare, workers
        loads = worker_project.logged(project, "load")
        assert sum(models["fakellm"] for models in loads.values()) == 1, workers
        assert all(models["weak-other"] <= 1 for models in loads.values()), workers


@pytest.mark.slow
def test_a_rerun_has_its_scalars_once(project: pytest.Pytester) -> None:
    pytest.importorskip("pytest_rerunfailures")
    *_, cases = worker_project.run(project, "again", "-p", "pytest_sway", *PLUGINS["rerunfailures"])
    (found,) = [
        rows for name, case, outcome, rows in cases if (name, case) == ("weak.sway.yaml", "dk") and outcome
    ]
    names = [name for name, _ in found]
    assert names == ["sway_verdict", "sway_score", "sway_raw", "sway_z"]

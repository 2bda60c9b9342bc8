"""What other plugins see of an item: a plain function, or ``function[id]`` in a Python file."""

from __future__ import annotations

import pytest

from tests.support.fake_models import SPEC

DISCOVERY = """
def pytest_collection_finish(session):
    for item in session.items:
        print("finish", item.nodeid, _seen(item))

def pytest_runtest_call(item):
    print("call", item.nodeid, _seen(item))

def pytest_runtest_teardown(item):
    print("teardown", item.nodeid, _seen(item))

def _seen(item):
    if not hasattr(item, "callspec"):
        return "plain"
    function, parameters = item.name.split("[", 1)        # as VS Code's extension splits both
    path, behind = item.nodeid.rsplit("::", 1)[0].rsplit(".py", 1)
    return "; ".join(f"{name}={value!r}" for name, value in item.callspec.params.items())
"""
TESTS = """
import pytest
from pytest_sway.probes.delta_kl import DeltaKL

@pytest.mark.sway("sway.yaml")
def test_marked(sway_result): pass

def test_code_first(sway):
    assert sway(DeltaKL(prompts=["a", "b"])).raw

@pytest.mark.parametrize("n", [1])
def test_own(n): pass
"""


@pytest.fixture
def discovered(project: pytest.Pytester) -> pytest.Pytester:
    """A project with a spec, tests of every kind, and a plugin that reads ``callspec`` as editors do."""
    project.makefile(".py", editor=DISCOVERY)
    project.makepyfile(test_it=TESTS)
    project.syspathinsert()
    return project


def test_items_of_a_spec_and_code_first_tests_have_no_callspec(discovered: pytest.Pytester) -> None:
    result = discovered.runpytest("-p", "editor", "-s")
    result.assert_outcomes(passed=10)
    for when in ("finish", "call", "teardown"):
        result.stdout.fnmatch_lines_random(
            [
                f"*{when} sway.yaml::dk plain",
                f"*{when} test_it.py::test_code_first plain",
                f"*{when} test_it.py::test_own[[]1] n=1",
                f"*{when} test_it.py::test_marked[[]dk] sway_backend=fakellm; *; sway_result=dk",
            ]
        )


def test_a_fleet_in_a_spec_has_ids_and_no_callspec(discovered: pytest.Pytester) -> None:
    discovered.makefile(".yaml", sway=SPEC.replace("adapters/good", "[adapters/a, adapters/b]"))
    result = discovered.runpytest("-p", "editor", "-s", "sway.yaml", "-k", "dk")
    result.assert_outcomes(passed=2, deselected=6)
    result.stdout.fnmatch_lines_random(["*call sway.yaml::dk[[]a] plain", "*call sway.yaml::dk[[]b] plain"])


def test_items_are_still_ordered_by_adapter(project: pytest.Pytester) -> None:
    """Two specs ask for both. Not by model: pytest below 9.2 orders by a parameter's index, not its value."""
    for name in ("a", "z"):
        (project.path / f"{name}.sway.yaml").write_text(
            SPEC.replace("adapters/good", "[adapters/a, adapters/b]")
        )
    result = project.runpytest("--setup-plan", "a.sway.yaml", "z.sway.yaml")
    assert len([line for line in result.outlines if "SETUP    S sway_adapter" in line]) == 2


def test_selection_and_junit_names_are_those_of_the_entries(discovered: pytest.Pytester) -> None:
    result = discovered.runpytest("sway.yaml::dk", "--junitxml=out.xml", "-p", "editor")
    result.assert_outcomes(passed=1)
    text = (discovered.path / "out.xml").read_text()
    assert 'classname="sway.yaml" name="dk"' in text

"""A spec file as pytest sees it: ids, selection, locations, and what is not imported."""

from __future__ import annotations

import sys

import pytest

from tests.support.fake_models import SPEC


def test_each_probe_is_one_item(project: pytest.Pytester) -> None:
    result = project.runpytest("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        ["sway.yaml::baseline", "sway.yaml::dk", "sway.yaml::curve", "sway.yaml::talk", "4 tests collected*"]
    )


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (["-m", "sway"], 4),
        (["-m", "not sway"], 0),
        (["-k", "curve or talk"], 2),
        (["sway.yaml::dk"], 1),
        (["sway.yaml"], 4),
    ],
)
def test_selection_is_pytests_own(project: pytest.Pytester, arguments: list[str], ran: int) -> None:
    result = project.runpytest(*arguments)
    outcomes = result.parseoutcomes()
    assert outcomes.get("passed", 0) == ran


def test_a_failure_points_into_the_yaml_and_lf_runs_it_again(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: weak"))
    result = project.runpytest("--no-header")
    result.stdout.fnmatch_lines(["FAIL delta_kl: *(sway.yaml:7)", "FAILED sway.yaml::dk - *"])
    result.stdout.no_fnmatch_line("*outcome.py*Error*")
    result.stdout.no_fnmatch_line("*Traceback*")
    again = project.runpytest("--lf", "-v")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["sway.yaml::dk FAILED*", "*not gated: 1 of 4 probes ran*"])


def test_locations_are_lines_of_the_yaml(project: pytest.Pytester) -> None:
    items, _ = project.inline_genitems("sway.yaml")
    assert [item.location[:2] for item in items] == [("sway.yaml", n) for n in (5, 6, 9, 12)]


@pytest.mark.parametrize("name", ["pytestmark", "setup_module", "'a::b'", "größe", "'x[1]'", "test"])
def test_any_name_works(project: pytest.Pytester, name: str) -> None:
    project.makefile(".yaml", sway=SPEC.replace("name: dk", f"name: {name}"))
    project.runpytest("-m", "sway").assert_outcomes(passed=4)


def test_setup_show_tells_the_chain(project: pytest.Pytester) -> None:
    result = project.runpytest("--setup-show", "sway.yaml::dk")
    result.stdout.fnmatch_lines(
        ["SETUP*S sway_backend*", "*SETUP*S sway_adapter*", "*SETUP*S sway_null*", "*SETUP*F sway_result*"]
    )


def test_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--fixtures", "-q")
    result.stdout.fnmatch_lines_random(
        [f"{name} *" for name in ("sway", "sway_spec *", "sway_backend *", "sway_null *")]
    )


def test_all_mistakes_are_one_collection_error(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("delta_kl", "delta_lk").replace("version: 1", "version: 9"))
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["sway.yaml:1:10: version: *", "sway.yaml:8:11: *did you mean 'delta_kl'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_spec_of_any_name_is_one_when_it_is_given_by_name(project: pytest.Pytester) -> None:
    (project.path / "other.yaml").write_text(SPEC)
    (project.path / "data.yaml").write_text("suite: 1\n")
    project.runpytest("other.yaml").assert_outcomes(passed=4)
    project.runpytest("other.yaml::dk").assert_outcomes(passed=1)
    project.runpytest(project.path).assert_outcomes(passed=4)  # sway.yaml's
    assert project.runpytest("data.yaml").ret == pytest.ExitCode.USAGE_ERROR


def test_other_names_are_specs_when_the_ini_says_so(project: pytest.Pytester) -> None:
    for name, text in {"nightly.sway": SPEC, "eval": SPEC, "other": "a: [b"}.items():
        (project.path / f"{name}.yaml").write_text(text)
    project.makeini("[pytest]\nsway_files = eval.yaml *.sway.yaml\n")
    result = project.runpytest("--collect-only", "-q")
    result.stdout.fnmatch_lines(["eval.yaml::dk", "nightly.sway.yaml::dk", "8 tests collected*"])


def test_notes_of_a_spec_are_warnings_with_its_place(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("null_adapter}", "null_adapter, runs: 3}"))
    result = project.runpytest()
    result.stdout.fnmatch_lines(["*sway.yaml:6*", "*SwayWarning: baseline: runs is raised from 3 to 20*"])


PURE = """
import sys
import pytest

def pytest_unconfigure(config):
    heavy = {names!r}
    found = sorted(name for name in heavy if name in sys.modules)
    print("HEAVY", found)
"""


@pytest.mark.parametrize("uses_sway", [False, True])
def test_nothing_heavy_is_imported(pytester: pytest.Pytester, uses_sway: bool) -> None:
    """Start-up costs others nothing; collection costs no torch."""
    names = ["torch", "transformers", "peft"]
    if uses_sway:
        pytester.makefile(".yaml", sway=SPEC)
    else:
        names += ["numpy", "scipy", "pydantic", "yaml"]
        pytester.makepyfile("def test_it(): pass")
    pytester.makeconftest(PURE.format(names=names))
    blocked = ["-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:syrupy"]
    result = pytester.run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-s", *blocked)
    result.stdout.fnmatch_lines(["*HEAVY []*"])
    assert result.ret == 0


def test_a_spec_outside_the_rootdir_is_gated_and_reported(project: pytest.Pytester) -> None:
    for name in ("elsewhere", "project"):
        project.mkdir(name)
    outside = (project.path / "sway.yaml").rename(project.path / "elsewhere/sway.yaml")
    second = outside.with_name("b.sway.yaml")
    second.write_text(outside.read_text())
    places = ("--rootdir=project", "--confcutdir=.")
    result = project.runpytest(outside, second, *places, "--sway-threshold=1", "--sway-json=out")
    result.assert_outcomes(passed=8)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*GATE FAILED ../elsewhere/sway.yaml*", "*GATE FAILED ../elsewhere/b.sway.yaml*"]
    )
    assert len(list((project.path / "out").glob("*.json"))) == 2
    assert project.runpytest(f"{outside}::dk", *places).ret == 0

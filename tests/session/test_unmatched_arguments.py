"""Adapter folders among the test paths: what the shell makes of an unquoted pattern."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.adapter_stubs import adapter_stub
from tests.support.fake_models import SPEC

DK = SPEC.partition("  - {name: baseline")[0] + "  - {name: dk, kind: delta_kl, prompts: [one, two, three]}\n"


@pytest.fixture
def run(project: pytest.Pytester) -> pytest.Pytester:
    """Three checkpoints, of which the last is half written, and a spec of one probe."""
    for name in ("checkpoint-5", "checkpoint-10"):
        adapter_stub(project.path / "run" / name)
    (project.path / "run" / "checkpoint-15").mkdir()
    project.makefile(".yaml", sway=DK)
    return project


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=str)
def test_a_pattern_that_the_shell_expanded(run: pytest.Pytester, workers: list[str]) -> None:
    expanded = [f"run/checkpoint-{n}" for n in (10, 15, 5)]
    found = run.runpytest("sway.yaml", "--sway-adapter", *expanded, *workers)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    says = (
        "run/checkpoint-15, run/checkpoint-5 are passed as test paths, but are adapter folders or checkpoints"
    )
    repeated = " ".join(f"--sway-adapter={one}" for one in expanded)
    quoted = "--sway-adapter='run/checkpoint-[*]'"
    found.stderr.fnmatch_lines(
        [f"ERROR: {says}* without tests. * ({quoted}) or repeat the option ({repeated})"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["--sway-adapter=run/checkpoint-*", "--sway-adapter 'run/checkpoint-*'"])
def test_what_the_message_says_is_served(run: pytest.Pytester, adapter: str) -> None:
    """By a real shell: it expands neither a pattern in quotes nor one behind ``=``."""
    command = f"{sys.executable} -m pytest -p no:xdist sway.yaml {adapter}"
    done = subprocess.run(command, shell=True, cwd=run.path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.count("GATE PASSED") == 2
    assert "GATE FAILED sway.yaml[checkpoint-15]" in done.stdout


def test_without_the_option_beside_a_spec(run: pytest.Pytester) -> None:
    found = run.runpytest("sway.yaml::dk", "run/checkpoint-5")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    says = "is passed as a test path, * To evaluate adapters, use --sway-adapter=run/checkpoint-5"
    found.stderr.fnmatch_lines([f"ERROR: run/checkpoint-5 {says}"])


def test_names_with_nothing_in_common_get_no_pattern(run: pytest.Pytester) -> None:
    adapter_stub(run.path / "other")
    found = run.runpytest("sway.yaml", "--sway-adapter=other", "run/checkpoint-5", "run")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*run/checkpoint-5, run are *: repeat the option (--sway-adapter=other *"])


@pytest.mark.slow
def test_words_of_the_ini_file_count_too(run: pytest.Pytester) -> None:
    run.makeini("[pytest]\naddopts = --sway-adapter run/checkpoint-10 run/checkpoint-5")
    assert run.runpytest("sway.yaml").ret == pytest.ExitCode.USAGE_ERROR
    run.makeini("[pytest]\naddopts = --sway-adapter run/checkpoint-?")
    assert run.runpytest("sway.yaml").ret == 0


@pytest.mark.slow
def test_a_folder_with_tests_is_a_test_path_with_a_warning(run: pytest.Pytester) -> None:
    folder = run.path / "run" / "checkpoint-5"
    (folder / "test_it.py").write_text("def test_it(): pass")
    arguments = ["sway.yaml", "--sway-adapter=run/checkpoint-10", "run/checkpoint-5"]
    found = run.runpytest(*arguments)
    found.assert_outcomes(passed=2, warnings=1)
    found.stdout.fnmatch_lines(["*SwayWarning: run/checkpoint-5 is an adapter folder or a checkpoint that*"])
    strict = run.runpytest("-Werror", *arguments)
    assert strict.ret == pytest.ExitCode.USAGE_ERROR
    (folder / "test_it.py").unlink()
    (folder / "mine.sway.yaml").write_text(DK)
    found = run.runpytest("run/checkpoint-5", "--sway-adapter=run/checkpoint-10")
    found.assert_outcomes(passed=1, warnings=1)


@pytest.mark.slow
def test_other_paths_are_left_alone(run: pytest.Pytester) -> None:
    """Folders of something else, a project's own run without a spec, and ``testpaths``."""
    run.makepyfile(test_it="def test_it(): pass")
    (run.path / "empty").mkdir()
    assert run.runpytest("sway.yaml", "--sway-adapter=run/checkpoint-5", "empty", ".").ret == 0
    assert run.runpytest("test_it.py", "run/checkpoint-5").ret == 0
    run.makeini("[pytest]\ntestpaths = run/checkpoint-5 sway.yaml")
    assert run.runpytest("--sway-adapter=run/checkpoint-10").ret == 0

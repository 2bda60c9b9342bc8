"""``sway run`` and ``sway gate`` are pytest: the same numbers, whatever the project's configuration is."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART, ROOT
from tests.support.saved_results import steady

CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.support import fake_models

def pytest_sway_backend(config, model):
    return fake_models.backend(model)
"""
HOSTILE = """
[pytest]
addopts = -k nothing --sway-limit=1 --sway-threshold=1 -p no:pytest_sway
testpaths = elsewhere
sway_files = *.never
filterwarnings = error
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.format(root=str(ROOT)))
    pytester.makefile(".yaml", sway=SPEC)
    return pytester


def sway(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.run(sys.executable, "-m", "pytest_sway", *arguments)


def report(project: pytest.Pytester, file: str) -> object:
    return steady(json.loads((project.path / file).read_text("utf-8")))


@pytest.mark.slow
def test_run_is_pytest_to_the_last_digit_also_in_a_hostile_project(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = project.runpytest_subprocess("sway.yaml", "--sway-json=pytest.json")
    assert expected.ret == 0
    project.makeini(HOSTILE)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--sway-limit=1")
    found = sway(project, "run", "sway.yaml", "--json", "sway.json")
    assert found.ret == 0
    assert report(project, "sway.json") == report(project, "pytest.json")


@pytest.mark.slow
def test_run_measures_and_gate_judges(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("fakellm", "weak"))
    measured = sway(project, "run", "sway.yaml")
    assert measured.ret == 0
    measured.stdout.fnmatch_lines(["FAILED*", "GATE FAILED*"])
    measured.stdout.no_fnmatch_line("*Traceback*")
    quiet = sway(project, "run", "sway.yaml", "--quiet")
    assert len(quiet.outlines) < len(measured.outlines) / 2
    quiet.stdout.fnmatch_lines(["FAILED*", "GATE FAILED*"])
    judged = sway(
        project, "gate", "sway.yaml", "--junit", "gate.xml", "--markdown", "r.md", "--report", "r.json"
    )
    assert judged.ret == 1
    assert all((project.path / name).is_file() for name in ("gate.xml", "r.md", "r.json"))
    project.makefile(".yaml", sway=SPEC)
    assert sway(project, "gate", "sway.yaml").ret == 0
    assert sway(project, "gate", "sway.yaml", "--threshold", "1.0").ret == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "arguments", "says"),
    [
        (SPEC.replace("fakellm", "broken"), (), "*no backend: the disk is on fire*"),
        (SPEC.replace("kind: delta_kl", "kind: delta"), (), "*delta_kl*"),
        (SPEC, ("--weights", "taste=1"), "*unknown category 'taste'*"),
        ("a: 1\n", (), "*"),
    ],
)
def test_what_cannot_be_run(
    project: pytest.Pytester, spec: str, arguments: tuple[str, ...], says: str
) -> None:
    project.makefile(".yaml", sway=spec)
    for command in ("run", "gate"):
        found = sway(project, command, "sway.yaml", *arguments)
        assert found.ret == 2
        text = found.stdout.str() + found.stderr.str()
        assert "Traceback" not in text
        found.stdout.lines += found.stderr.lines
        found.stdout.fnmatch_lines([says])


@pytest.mark.slow
def test_dry_run_and_further_arguments(project: pytest.Pytester) -> None:
    listed = sway(project, "run", "sway.yaml", "--dry-run")
    assert listed.ret == 0
    listed.stdout.fnmatch_lines(["#  name *kind *category *enabled", "1  *"])
    listed.stdout.no_fnmatch_line("*test session*")
    project.makefile(".yaml", sway=SPEC.replace("kind: delta_kl", "kind: delta"))
    refused = sway(project, "run", "sway.yaml", "--dry-run")
    assert refused.ret == 2
    refused.stderr.fnmatch_lines(["sway: *delta*"])
    assert sway(project, "gate", "nope.yaml").ret == 2
    project.makefile(".yaml", sway=SPEC)
    chosen = sway(project, "run", "sway.yaml", "--", "-k", "dk")
    chosen.stdout.fnmatch_lines(["*deselected*"])


@pytest.mark.slow
def test_a_gate_that_did_not_judge_has_not_passed(project: pytest.Pytester) -> None:
    for further in (["--collect-only"], ["-k", "dk"], ["--sway-limit=1"]):
        assert sway(project, "gate", "sway.yaml", "--", *further).ret == 2
    project.makeconftest(
        CONFTEST.format(root=str(ROOT))
        + "\ndef pytest_runtest_setup(item):\n    import pytest\n    pytest.skip('no')\n"
    )
    assert sway(project, "gate", "sway.yaml").ret == 2
    assert sway(project, "run", "sway.yaml").ret == 2


@pytest.mark.slow
def test_ctrl_c_before_the_first_measure_keeps_an_earlier_result(project: pytest.Pytester) -> None:
    (project.path / "good.json").write_text("{}", "utf-8")
    project.makeconftest("""
        import signal

        def pytest_sway_backend(config, model):
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
            signal.raise_signal(signal.SIGINT)
    """)
    assert sway(project, "run", "sway.yaml", "--json", "good.json").ret == 130
    assert (project.path / "good.json").read_text("utf-8") == "{}"


@pytest.mark.slow
def test_arguments_that_would_fail_after_everything_was_measured(project: pytest.Pytester) -> None:
    for arguments, says in (
        (["gate", "sway.yaml", "--junit", ""], "--junit is empty"),
        (["run", "sway.yaml", "--json", "sway.yaml/below/out.json"], "is not writable"),
        (["run", "sway.yaml", "--dry-run", "--json", "out.json"], "remove --json"),
        (["gate", "sway.yaml", "--json", "a.json", "--report", "b.json"], "pass only one of them"),
    ):
        found = sway(project, *arguments)
        assert found.ret == 2
        assert says in found.stderr.str()


@pytest.mark.slow
def test_a_spec_of_any_name_in_any_folder(project: pytest.Pytester) -> None:
    folder = project.mkdir("a b ü")
    (folder / "eval.yaml").write_text(SPEC, "utf-8")
    (folder / "broken.yaml").write_text("version: 1\nmodels: [", "utf-8")
    project.mkdir("c[1]").joinpath("sway.yaml").write_text(SPEC, "utf-8")
    (project.path / ".git").mkdir()  # the top of the project, whose conftest is read
    assert sway(project, "gate", str(folder / "eval.yaml")).ret == 0
    broken = sway(project, "run", str(folder / "broken.yaml"))
    assert broken.ret == 2
    assert "not YAML" in broken.stderr.str()
    assert "does not accept a path with [" in sway(project, "run", "c[1]/sway.yaml").stderr.str()


@pytest.mark.slow
def test_diff_evaluates_both_in_one_run(project: pytest.Pytester) -> None:
    spec = f"""
version: 1
models:
  base: &m {{kind: hf, base: {QUICKSTART / "base"}, device: cpu}}
  ft: {{<<: *m, adapter: {QUICKSTART / "adapters" / "inert"}}}
suite:
  - {{name: baseline, kind: null_adapter}}
  - {{name: moved, kind: delta_kl, prompts: [The master of the works is, The oil is kept in a stone]}}
"""
    project.makeconftest("")
    project.makefile(".yaml", sway=spec)
    adapters = [str(QUICKSTART / "adapters" / name) for name in ("healthy", "random")]
    found = sway(project, "diff", "sway.yaml", "--a", adapters[0], "--b", adapters[1])
    assert found.ret == 0
    found.stdout.fnmatch_lines(
        [
            "  1  healthy *",
            "  2  random *",
            "changes of the items that *",
            "scores that dropped by more than 0.10: 1, by more than 0.20: 1; *",
        ]
    )
    for second, says in ((adapters[0], "are the same folder"), ("none", "does not exist")):
        refused = sway(project, "diff", "sway.yaml", "--a", adapters[0], "--b", second)
        assert refused.ret == 2
        assert says in refused.stderr.str()


@pytest.mark.slow
def test_kinds_of_the_conftest_above_a_spec(project: pytest.Pytester) -> None:
    project.makeconftest("""
        from pytest_sway.probes.delta_kl import DeltaKL

        class Own(DeltaKL):
            \'\'\'What it measures.\'\'\'

            kind = "own_kind"

        def pytest_sway_probes():
            return [Own]
    """)
    found = sway(project, "list-probes", "sway.yaml")
    assert found.ret == 0
    found.stdout.fnmatch_lines(
        [
            "kind *category *claim *needs *measures",
            "delta_kl *adherence *effect*",
            "own_kind *What it measures",
        ]
    )
    assert "own_kind" not in sway(project, "list-probes").stdout.str()
    assert '"own_kind"' in sway(project, "schema", "sway.yaml").stdout.str()


@pytest.mark.slow
def test_a_conftest_that_cannot_be_used(project: pytest.Pytester) -> None:
    for text, says in (
        ("def pytest_sway_probes():\n    return [1]", "is not a class derived from"),
        ("import nothing_of_that_name", "pytest could not start; see its error above"),
    ):
        project.makeconftest(text)
        refused = sway(project, "schema", "sway.yaml", "--out", "s.json")
        assert refused.ret == 2
        assert says in refused.stderr.str()
        assert not (project.path / "s.json").exists()

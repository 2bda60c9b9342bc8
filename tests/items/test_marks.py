"""``@pytest.mark.sway`` and the code-first fixture."""

from __future__ import annotations

import pytest

from conftest import SPEC

MARKED = """
import pytest

@pytest.mark.sway("sway.yaml", threshold=0.6)
def test_adapter(sway_result):
    print("BODY", sway_result.name, sway_result.verdict)
    assert sway_result.verdict != "fail"
"""


def test_each_probe_is_an_item_of_the_function(planted: pytest.Pytester) -> None:
    planted.makepyfile(test_it=MARKED)
    result = planted.runpytest("test_it.py", "-v", "-s")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_adapter[[]baseline[]]*",
            "*BODY dk pass",
            "test_it.py::test_adapter[[]talk[]]*",
            "*sway: test_it.py::test_adapter*",
            "GATE PASSED",
        ]
    )


def test_a_function_without_arguments_is_measured_and_fails(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", weak=SPEC.replace("base: planted", "base: weak"))
    planted.makepyfile(
        """
        import pytest

        @pytest.mark.sway("weak.yaml")
        def test_adapter():
            print("the body ran")
        """
    )
    result = planted.runpytest("-k", "test_adapter", "-s")
    result.assert_outcomes(failed=1, passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*the body ran*", "FAIL delta_kl: *"])


def test_the_marks_threshold_gates(planted: pytest.Pytester) -> None:
    planted.makepyfile(test_it=MARKED.replace("threshold=0.6", "threshold=0.99"))
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["GATE FAILED *", "  - composite 0.?? is 0.?? below the threshold 0.99"])
    assert result.ret == 1


def test_without_a_threshold_the_composite_does_not_gate(planted: pytest.Pytester) -> None:
    planted.makepyfile(test_it=MARKED.replace(", threshold=0.6", ', weights={"ablation": 0.0}'))
    assert planted.runpytest("test_it.py").ret == 0


def test_a_mark_on_a_class_reaches_its_methods(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        """
        import pytest

        @pytest.mark.sway("sway.yaml")
        class TestAdapter:
            def test_it(self, sway_result):
                assert sway_result.score is not None

            def helper(self):
                raise AssertionError
        """
    )
    planted.runpytest("-k", "TestAdapter").assert_outcomes(passed=4)


def test_a_failing_body_fails_whatever_the_verdict(planted: pytest.Pytester) -> None:
    planted.makepyfile(test_it=MARKED + "    assert sway_result.name != 'dk'\n")
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('"lost.yaml"', "there is no spec 'lost.yaml'"),
        ("threshold=0.5", "missing a required argument: 'spec'"),
        ('"sway.yaml", threshold="high"', "threshold is 'high', not a number"),
        ('"sway.yaml", threshold=3', "threshold is 3, not in"),
        ('"sway.yaml", weights=[1]', "not a mapping"),
        ('"sway.yaml", weights={"x": 1}', "unknown category 'x'"),
        ('"sway.yaml", treshold=0.5', "unexpected keyword argument 'treshold'"),
        ("3", "spec is 3, not a path"),
        ('"bad.yaml"', "bad.yaml:1:1: models: is missing"),
    ],
)
def test_a_bad_mark_is_one_failing_item(planted: pytest.Pytester, arguments: str, says: str) -> None:
    planted.makefile(".yaml", bad="suite: []\n")
    planted.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.sway({arguments})\ndef test_a(): pass\n\ndef test_b(): pass\n"
    )
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(errors=1, passed=1)
    assert says in result.stdout.str()
    result.stdout.no_fnmatch_line("*Traceback*")


def test_any_test_that_uses_a_sway_fixture_carries_the_mark(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        """
        def test_uses(sway_spec): pass
        def test_does_not(): pass
        """
    )
    planted.runpytest(
        "-m", "sway", "test_any_test_that_uses_a_sway_fixture_carries_the_mark.py"
    ).assert_outcomes(passed=1, deselected=1)


CODE_FIRST = """
import pytest
from pytest_sway.probes.delta_kl import DeltaKL

{mark}
def test_adapter(sway):
    result = sway(DeltaKL(name="mine", prompts=["a", "b", "c"]))
    assert result.verdict == "pass"
    assert result.null["n"] == 20
    assert 0.1 < result.raw < 0.3
"""


@pytest.mark.parametrize("mark", ["", '@pytest.mark.sway("sway.yaml")'])
def test_code_first(planted: pytest.Pytester, mark: str) -> None:
    planted.makepyfile(test_it=CODE_FIRST.format(mark=mark))
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*measured in tests*", "test_it.py::test_adapter: mine *"])
    result.stdout.no_fnmatch_line("GATE*")


def test_code_first_takes_its_models_from_sway_spec(planted: pytest.Pytester) -> None:
    (planted.path / "sway.yaml").rename(planted.path / "elsewhere.txt")
    planted.makepyfile(
        test_it=CODE_FIRST.format(mark="")
        + "\n@pytest.fixture(scope='session')\ndef sway_spec(): return 'elsewhere.txt'\n"
    )
    planted.runpytest("test_it.py").assert_outcomes(passed=1)


def test_code_first_without_any_spec_says_what_to_do(planted: pytest.Pytester) -> None:
    (planted.path / "sway.yaml").unlink()
    planted.makepyfile(test_it=CODE_FIRST.format(mark=""))
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no spec names a model: there is no *sway.yaml; write one*"])


def test_sway_result_without_a_mark_says_what_to_do(planted: pytest.Pytester) -> None:
    planted.makepyfile(test_it="def test_a(sway_result): pass\n")
    planted.runpytest("test_it.py").stdout.fnmatch_lines(["sway_result needs a spec: decorate*"])


def test_a_users_own_parameters_make_suites_of_their_own(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("lane", ["fast", "slow"])
        @pytest.mark.sway("sway.yaml")
        def test_adapter(lane): pass
        """
    )
    result = planted.runpytest("test_it.py")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*test_adapter[[]lane='fast'[]]*", "*test_adapter[[]lane='slow'[]]*"])
    assert result.stdout.str().count("GATE PASSED") == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: null_adapter}", "kind: null_adapter, runs: 3}", "sway.yaml: baseline: runs: 3 is raised*"),
        ("max_turns: 4", "max_turns: 3", "WARN talk: *undecided*"),
    ],
)
def test_warnings_as_errors_are_one_line(planted: pytest.Pytester, old: str, new: str, says: str) -> None:
    text = (planted.path / "sway.yaml").read_text() + "\n    max_turns: 4\n"
    planted.makefile(".yaml", sway=text.replace(old, new))
    assert planted.runpytest().ret == 0
    result = planted.runpytest("-W", "error")
    assert result.ret != 0
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")

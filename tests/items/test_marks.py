"""``@pytest.mark.sway`` and the code-first fixture."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.fake_models import SPEC

MARKED = """
import pytest

@pytest.mark.sway("sway.yaml", threshold=0.6)
def test_adapter(sway_result):
    print("BODY", sway_result.name, sway_result.verdict)
    assert sway_result.verdict != "fail"
"""


def test_each_probe_is_an_item_of_the_function(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MARKED)
    result = project.runpytest("test_it.py", "-v", "-s")
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


def test_a_function_without_arguments_is_measured_and_fails(project: pytest.Pytester) -> None:
    project.makefile(".yaml", weak=SPEC.replace("base: fakellm", "base: weak"))
    project.makepyfile(
        """
        import pytest

        @pytest.mark.sway("weak.yaml")
        def test_adapter():
            print("the body ran")
        """
    )
    result = project.runpytest("-k", "test_adapter", "-s")
    result.assert_outcomes(failed=1, passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*the body ran*", "FAIL delta_kl: *"])


def test_the_marks_threshold_gates(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MARKED.replace("threshold=0.6", "threshold=0.99"))
    result = project.runpytest("test_it.py")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["GATE FAILED *", "  - composite 0.?? is 0.?? below the threshold 0.99: *"])
    assert result.ret == 1


def test_without_a_threshold_the_specs_holds(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("suite:", "defaults: {coverage_threshold: 0.99}\nsuite:"))
    project.makepyfile(test_it=MARKED.replace(", threshold=0.6", ""))
    result = project.runpytest("test_it.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["  - composite 0.?? is 0.?? below the threshold 0.99: *"])


def test_the_marks_weights_merge_over_the_specs(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MARKED.replace(", threshold=0.6", ', weights={"adherence": 0.0}'))
    project.runpytest("test_it.py").stdout.fnmatch_lines(["PASSED: healthy. Composite 1.00*"])


def test_a_mark_on_a_class_reaches_its_methods(project: pytest.Pytester) -> None:
    project.makepyfile(
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
    project.runpytest("-k", "TestAdapter").assert_outcomes(passed=4)


def test_a_failing_body_fails_whatever_the_verdict(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MARKED + "    assert sway_result.name != 'dk'\n")
    result = project.runpytest("test_it.py")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('"lost.yaml"', "spec 'lost.yaml' was not found"),
        ("threshold=0.5", "missing a required argument: 'spec'"),
        ('"sway.yaml", threshold="high"', "threshold must be a number, not 'high'"),
        ('"sway.yaml", threshold=3', "threshold must be between 0 and 1, not 3"),
        ('"sway.yaml", weights=[1]', "weights must be a mapping, not [1]"),
        ('"sway.yaml", weights={"x": 1}', "unknown category 'x'"),
        ('"sway.yaml", treshold=0.5', "unexpected keyword argument 'treshold'"),
        ("3", "spec must be a path, not 3"),
        ('"bad.yaml"', "bad.yaml:1:1: models: is required but missing"),
    ],
)
def test_a_bad_mark_is_one_failing_item(project: pytest.Pytester, arguments: str, says: str) -> None:
    project.makefile(".yaml", bad="suite: []\n")
    project.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.sway({arguments})\ndef test_a(): pass\n\ndef test_b(): pass\n"
    )
    result = project.runpytest("test_it.py")
    result.assert_outcomes(errors=1, passed=1)
    assert says in result.stdout.str()
    result.stdout.no_fnmatch_line("*Traceback*")


def test_any_test_that_uses_a_sway_fixture_carries_the_mark(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_uses(sway_spec): pass
        def test_does_not(): pass
        """
    )
    project.runpytest(
        "-m", "sway", "test_any_test_that_uses_a_sway_fixture_carries_the_mark.py"
    ).assert_outcomes(passed=1, deselected=1)


CODE_FIRST = """
import pytest
from pytest_sway.probes.delta_kl import DeltaKL

{mark}
def test_adapter(sway):
    result = sway(DeltaKL(name="mine", prompts=["a", "b", "c"]))
    assert result.verdict == "pass"
    assert result.null.n == 8
    assert 0.1 < result.raw < 0.3
"""


@pytest.mark.parametrize("mark", ["", '@pytest.mark.sway("sway.yaml")'])
def test_code_first(project: pytest.Pytester, mark: str) -> None:
    project.makepyfile(test_it=CODE_FIRST.format(mark=mark))
    result = project.runpytest("test_it.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*measured in tests*", "test_it.py::test_adapter: mine *"])
    result.stdout.no_fnmatch_line("GATE*")


def test_code_first_takes_its_models_from_sway_spec(project: pytest.Pytester) -> None:
    (project.path / "sway.yaml").rename(project.path / "elsewhere.txt")
    project.makepyfile(
        test_it=CODE_FIRST.format(mark="")
        + "\n@pytest.fixture(scope='session')\ndef sway_spec(): return 'elsewhere.txt'\n"
    )
    project.runpytest("test_it.py").assert_outcomes(passed=1)


def test_code_first_takes_a_probe_and_says_so(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_a(sway): sway('delta_kl')\n")
    result = project.runpytest("test_it.py")
    result.stdout.fnmatch_lines(["*TypeError: sway() expects a probe, e.g. DeltaKL*but got 'delta_kl'"])


def test_code_first_without_any_spec_says_what_to_do(project: pytest.Pytester) -> None:
    (project.path / "sway.yaml").unlink()
    project.makepyfile(test_it=CODE_FIRST.format(mark=""))
    result = project.runpytest("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no spec found, because *sway.yaml does not exist. Create it*"])


def test_sway_result_without_a_mark_says_what_to_do(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="def test_a(sway_result): pass\n")
    project.runpytest("test_it.py").stdout.fnmatch_lines(["sway_result needs a spec: decorate*"])


def test_a_users_own_parameters_make_suites_of_their_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("lane", [object(), object()], ids=["fast", "slow"])
        @pytest.mark.sway("sway.yaml")
        def test_adapter(lane): pass
        """
    )
    result = project.runpytest("test_it.py")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*test_adapter[[]fast[]]*", "*test_adapter[[]slow[]]*"])
    assert result.stdout.str().count("GATE PASSED") == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: null_adapter}", "kind: null_adapter, runs: 3}", "sway.yaml: baseline: runs is raised*"),
        ("max_turns: 4", "max_turns: 3", "WARN talk: *undecided*"),
    ],
)
def test_warnings_as_errors_are_one_line(project: pytest.Pytester, old: str, new: str, says: str) -> None:
    text = (project.path / "sway.yaml").read_text() + "\n    max_turns: 4\n"
    project.makefile(".yaml", sway=text.replace(old, new))
    assert project.runpytest().ret == 0
    result = project.runpytest("-W", "error")
    assert result.ret != 0
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")


UNFOLLOWED = {
    "testcase": """
        import unittest

        @pytest.mark.sway("sway.yaml", threshold=0.99)
        class TestIt(unittest.TestCase):
            def test_a(self): pass
        """,
    "param": """
        @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.sway("sway.yaml"))])
        def test_a(x): pass
        """,
    "two marks": """
        @pytest.mark.sway("sway.yaml")
        @pytest.mark.sway("sway.yaml", threshold=0.99)
        def test_a(): pass
        """,
}


@pytest.mark.parametrize("how", UNFOLLOWED)
def test_a_mark_that_cannot_be_followed_is_a_failure(project: pytest.Pytester, how: str) -> None:
    (project.path / "test_it.py").write_text("import pytest\n" + textwrap.dedent(UNFOLLOWED[how]))
    result = project.runpytest("test_it.py")
    assert result.ret == 1
    assert result.parseoutcomes().get("passed", 0) == 0
    says = "a test can use only one spec" if how == "two marks" else "sway mark has no effect on this test"
    result.stdout.fnmatch_lines_random([f"*{says}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_static_and_class_methods_are_measured(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.sway("sway.yaml")
        class TestIt:
            @staticmethod
            def test_static(): pass

            @classmethod
            def test_class(cls): pass
        """
    )
    project.runpytest("test_it.py").assert_outcomes(passed=8)


def test_a_subclass_without_the_mark_is_not_measured(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        class Base:
            def test_a(self): pass

        @pytest.mark.sway("sway.yaml")
        class TestMarked(Base): pass

        class TestPlain(Base): pass
        """
    )
    project.runpytest("test_it.py").assert_outcomes(passed=5)


def test_lazy_objects_of_a_project_are_left_alone(pytester: pytest.Pytester) -> None:
    """Flask's current_app, Django's settings: asking them for an attribute raises."""
    pytester.makepyfile(
        """
        class Lazy:
            def __getattr__(self, name):
                raise RuntimeError("outside of the application context")

        app = Lazy()

        def test_a(): pass
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_disabled_probe_under_a_mark_keeps_the_functions_name(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("kind: delta_kl", "kind: delta_kl\n    enabled: false"))
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.sway("sway.yaml")
        def test_adapter(sway_backend, sway_result): pass
        """
    )
    project.runpytest("test_it.py").assert_outcomes(passed=3, skipped=1)


def test_the_body_does_not_run_where_there_is_no_number(project: pytest.Pytester) -> None:
    project.makefile(".yaml", nan=SPEC.replace("base: fakellm", "base: nan"))
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.sway("nan.yaml")
        def test_adapter(sway_result):
            assert sway_result.raw < 5
        """
    )
    result = project.runpytest("test_it.py")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["ERROR delta_kl: *NaN or infinity*"])
    result.stdout.no_fnmatch_line("*TypeError*")


def test_a_conftest_may_hand_out_a_result(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.fixture
        def sway_result(sway_result):
            return sway_result.resolve()

        @pytest.mark.sway("sway.yaml", threshold=0.5)
        def test_adapter(sway_result):
            assert sway_result.name
        """
    )
    result = project.runpytest("test_it.py")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["GATE PASSED"])

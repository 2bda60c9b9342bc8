"""Kinds of others are named in a spec like ours; what cannot be one is told in a line with its plugin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_sway.probes.base import Probe, ProbeOptions
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.probes.registry import Kinds
from pytest_sway.probes.third_party import probe_class_fault
from pytest_sway.result import Claim
from tests.support.fake_models import SPEC

ECHO = """
from pytest_sway.probes.delta_kl import DeltaKL

class Echo(DeltaKL):
    kind = "echo"
"""
BRINGS = "\ndef pytest_sway_probes(config): return [Echo]\n"
SERVES = """
from tests.support import fake_models
def pytest_sway_backend(config, model): return fake_models.backend(model)
"""
HEAD = SPEC.split("suite:")[0] + "suite:\n"
ENTRY = "  - {name: e, kind: echo, prompts: [one, two, three, four, five]}\n"
NULL = "  - {name: baseline, kind: null_adapter, calibrate_kinds: [echo]}\n"


def test_a_kind_of_a_conftest_is_measured_calibrated_and_marked(project: pytest.Pytester) -> None:
    """In a spec with two adapters, in a mark, in ``calibrate_kinds``; its plugin is asked once."""
    asked = "\nASKED = []\ndef pytest_sway_probes(config): ASKED.append(1); return [Echo]\n"
    told = "\ndef pytest_unconfigure(config): print('ASKED', len(ASKED))\n"
    project.makeconftest(ECHO + asked + SERVES + told)
    plain = "  - {name: dk, kind: delta_kl, prompts: [one, two, three, four, five]}\n"
    spec = (HEAD + NULL + ENTRY + plain).replace("adapters/good", "[a/one, a/two]")
    project.makefile(".yaml", sway=spec)
    project.makepyfile(
        """
        import pytest

        @pytest.mark.sway("sway.yaml")
        def test_it(sway_result): assert sway_result.name in ("baseline", "dk", "e")
        """
    )
    result = project.runpytest("-s", "--sway-json=out")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["*ASKED 1*"])
    files = sorted((project.path / "out").iterdir())
    assert len(files) == 4
    for file in files:
        _, echo, dk = json.loads(file.read_text())["probes"]
        assert (echo["kind"], echo["category"], echo["verdict"]) == ("echo", "adherence", "pass")
        assert echo["null"]["n"] == 8
        assert echo["raw"] == dk["raw"]  # it is delta_kl by another name
        assert dk["not_calibrated"] == "the kind is not in calibrate_kinds"


def test_an_unknown_kind_is_reported_beside_those_of_others(project: pytest.Pytester) -> None:
    project.makeconftest(ECHO + BRINGS)
    project.makefile(".yaml", sway=HEAD + NULL.replace("echo]", "ecko]") + ENTRY.replace("echo", "ehco"))
    result = project.runpytest("--collect-only")
    result.stdout.fnmatch_lines(
        [
            "sway.yaml:6:*calibrate_kinds: *there is no kind 'ecko' (did you mean 'echo'?)",
            "sway.yaml:7:*suite?1?.kind: there is no kind 'ehco' (did you mean 'echo'?); allowed: *, echo, *",
        ]
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_conftest_is_heard_in_its_folder_alone(pytester: pytest.Pytester) -> None:
    """Two folders may use one word for two kinds; a spec outside knows neither."""
    pytester.makeconftest(SERVES)
    for name, category in {"a": "adherence", "b": "attribution"}.items():
        folder = pytester.mkdir(name)
        (folder / "conftest.py").write_text(f"{ECHO}    category = {category!r}\n{BRINGS}")
        (folder / "sway.yaml").write_text(HEAD + ENTRY)
    result = pytester.runpytest("--sway-json=out")
    result.assert_outcomes(passed=2)
    found = [json.loads(file.read_text()) for file in sorted((pytester.path / "out").iterdir())]
    assert [suite["probes"][0]["category"] for suite in found] == ["adherence", "attribution"]
    (pytester.path / "sway.yaml").write_text(HEAD + ENTRY)
    result = pytester.runpytest("--collect-only")
    result.stdout.fnmatch_lines(["*suite?0?.kind: there is no kind 'echo'*"])


def test_code_first_tests_in_a_folder_hear_the_rootdirs_conftest(project: pytest.Pytester) -> None:
    project.makeconftest(ECHO + BRINGS + SERVES)
    project.makefile(".yaml", sway=HEAD + ENTRY)
    (project.mkdir("deep") / "test_it.py").write_text(
        "from pytest_sway.probes.delta_kl import DeltaKL\n"
        "def test_it(sway): assert sway(DeltaKL(prompts=['one', 'two'])).raw > 0\n"
    )
    project.runpytest("deep").assert_outcomes(passed=1)


def test_a_plugin_given_to_main_brings_kinds(project: pytest.Pytester) -> None:
    class Echo(DeltaKL):
        kind = "echo"

    class Bringing:
        def pytest_sway_probes(self) -> list[Any]:
            return [Echo]

    project.makefile(".yaml", sway=HEAD + ENTRY)
    project.runpytest(plugins=[Bringing()]).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("conftest", "says"),
    [
        ("def pytest_sway_probes(): 1 / 0", "failed: ZeroDivisionError: division by zero (conftest.py:1)"),
        pytest.param(
            "def pytest_sway_probes(): raise SystemExit",
            "failed: SystemExit (conftest.py:1)",
            marks=pytest.mark.slow,
        ),
        (
            ECHO + "def pytest_sway_probes(): return Echo",
            "returned <class 'conftest.Echo'>; it must return a list*",
        ),
        pytest.param(
            "def pytest_sway_probes(): return ['Echo']",
            "'Echo' is not a class derived from *.Probe",
            marks=pytest.mark.slow,
        ),
        (
            ECHO.replace('"echo"', '"delta_kl"') + BRINGS,
            "Echo: the kind 'delta_kl' is built in; choose another kind",
        ),
    ],
)  # fmt: skip
def test_a_bad_answer_is_one_line_that_names_the_conftest(
    project: pytest.Pytester, conftest: str, says: str
) -> None:
    project.makeconftest(conftest)
    result = project.runpytest("--collect-only", "sway.yaml")
    result.stdout.fnmatch_lines([f"pytest_sway_probes of conftest.py*{says}"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_two_plugins_with_one_kind_are_both_named(project: pytest.Pytester) -> None:
    class Echo(DeltaKL):
        kind = "echo"

    class Bringing:
        def pytest_sway_probes(self) -> list[Any]:
            return [Echo]

    project.makeconftest(ECHO + BRINGS)
    (project.path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.sway('sway.yaml')\ndef test_it(): pass\n"
    )
    line = "pytest_sway_probes of Bringing: Echo: the kind 'echo' is already defined by conftest.py; choose*"
    project.runpytest("sway.yaml", plugins=[Bringing()]).stdout.fnmatch_lines([line])
    result = project.runpytest("test_it.py", plugins=[Bringing()])  # a mark cannot be followed either
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([line])


class Fit(Probe[ProbeOptions]):
    kind, category, claim = "fit", "adherence", Claim.EFFECT

    async def measure(self, views: Any) -> Any: ...
    def judge(self, measured: Any, nulls: Any) -> Any: ...


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({"kind": ""}, "the attribute `kind` is ''; set it to the name that specs use for this probe"),
        ({"kind": None}, "the attribute `kind` is missing; set it"),
        ({"category": "style"}, "the attribute `category` is 'style', but must be one of 'adherence', "),
        ({"category": ["adherence"]}, "the attribute `category` is ['adherence'], but must be one of"),
        ({"claim": "effect"}, "the attribute `claim` is 'effect', but must be one of Claim.EFFECT, "),
        ({"claim": Claim.BASELINE}, "the attribute `claim` is <Claim.BASELINE: 'baseline'>, but must be"),
        (
            {"scale": "linear"},
            "the attribute `scale` is 'linear', but must be one of None, 'raw', 'log', 'inverse_root'",
        ),
        ({"better": "more"}, "the attribute `better` is 'more', but must be one of 'higher', 'lower'"),
        (
            {"extra": "vision"},
            "the attribute `extra` is 'vision', but must be one of '', 'hf', 'semsim', 'style'",
        ),
        ({"requires": "generate"}, "the attribute `requires` is 'generate', but must be a set"),
        ({"requires": {"generate"}}, ""),
    ],
)
def test_what_a_kind_must_be(changed: dict[str, Any], says: str) -> None:
    found = probe_class_fault(type("Changed", (Fit,), changed))
    assert found.startswith(f"Changed: {says}") if says else not found


def test_a_kind_must_measure_judge_and_name_its_options() -> None:
    class Silent(Probe[ProbeOptions]):
        kind, category, claim = "silent", "adherence", Claim.EFFECT

        async def measure(self, views: Any) -> Any: ...

    class Bare(Probe):  # type: ignore[type-arg]
        kind, category, claim = "bare", "adherence", Claim.EFFECT
        measure, judge = Fit.measure, Fit.judge

    assert probe_class_fault(Silent) == "Silent: the class does not implement judge"
    says = "Bare: its options class is missing: declare class Bare(Probe[BareOptions])"
    assert probe_class_fault(Bare) == says
    assert probe_class_fault(int).startswith(
        "<class 'int'> is not a class derived from pytest_sway.probes.base.Probe"
    )


def test_kinds_are_ours_and_those_of_others() -> None:
    kinds = Kinds({"fit": Fit})
    assert {"fit", "delta_kl"} < set(kinds)
    assert list(kinds) == sorted(kinds)
    assert kinds.find("fit") is Fit
    assert kinds.find("delta_kl") is DeltaKL
    assert kinds.find("other") is None
    assert "fit" not in Kinds()

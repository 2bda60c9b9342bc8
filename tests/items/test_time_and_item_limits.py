"""Less time, fewer items, and runs that ended half-way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_models import SPEC

pytestmark = pytest.mark.slow

SLOW = """
import time

from tests.support import fake_models
from pytest_sway.backends.fake import FakeBackend


def pytest_sway_backend(config, model):
    return FakeBackend(answer)


def answer(request):
    if "slow" in str(request) and not SLEPT:
        SLEPT.append(True)
        time.sleep(1.0)
    return fake_models.answer(request)


SLEPT = []
"""
TIMED = SPEC.replace("delta_kl\n    prompts: [one,", "delta_kl\n    timeout: 0.8\n    prompts: [slow,")


def probes(path: Path) -> dict[str, Any]:
    return {probe["name"]: probe for probe in json.loads(path.read_text())["probes"]}


@pytest.mark.parametrize("arguments", [[], ["-p", "no:timeout"]])
def test_a_probe_beyond_its_timeout_is_an_error_of_its_own(
    project: pytest.Pytester, arguments: list[str]
) -> None:
    project.makeconftest(SLOW)
    project.makefile(".yaml", sway=TIMED)
    found = project.runpytest("--sway-json=out.json", *arguments)
    found.assert_outcomes(passed=3, failed=1)
    told = probes(project.path / "out.json")
    assert "0.8" in told["dk"]["message"]  # the rest are pytest-timeout's words, or ours without it
    assert [p["verdict"] for p in told.values()] == ["pass", "error", "pass", "pass"]
    found.stdout.fnmatch_lines(["*1 probe ended in an error: dk (sway.yaml:7): *0.8*"])
    found.stdout.no_fnmatch_line("*fake_models.py*")


def test_the_default_timeout_holds_for_probes_without_one(project: pytest.Pytester) -> None:
    project.makeconftest(SLOW)
    default = TIMED.replace("    timeout: 0.8\n", "").replace("suite:", "defaults: {timeout: 0.8}\nsuite:")
    project.makefile(".yaml", sway=default)
    project.runpytest("-p", "no:timeout", "--sway-json=out.json")
    assert probes(project.path / "out.json")["dk"]["verdict"] == "error"
    own = default.replace("kind: delta_kl", "kind: delta_kl\n    timeout: 60")
    project.makefile(".yaml", sway=own)
    project.runpytest("-p", "no:timeout", "--sway-json=out.json")
    assert probes(project.path / "out.json")["dk"]["verdict"] == "pass"


@pytest.mark.slow
def test_loading_a_model_is_charged_to_no_probe(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import time
        from tests.support import fake_models

        def pytest_sway_backend(config, model):
            time.sleep(1.2)
            return fake_models.backend(model)
        """
    )
    project.makefile(".yaml", sway=SPEC.replace("suite:", "defaults: {timeout: 1}\nsuite:"))
    project.runpytest().assert_outcomes(passed=4)


def test_the_users_own_timeout_goes_first(project: pytest.Pytester) -> None:
    project.makeconftest(SLOW)
    project.makefile(".yaml", sway=TIMED)
    project.makepyfile(
        """
        import pytest

        @pytest.mark.timeout(30, func_only=True)
        @pytest.mark.sway("sway.yaml")
        def test_it(request):
            assert request.node.get_closest_marker("timeout").args == (30,)
        """
    )
    found = project.runpytest("test_the_users_own_timeout_goes_first.py", "-k", "baseline")
    found.assert_outcomes(passed=1, deselected=3)


def test_a_limit_looks_at_fewer_items_and_does_not_gate(project: pytest.Pytester) -> None:
    found = project.runpytest("--sway-limit=2", "--sway-json=out.json", "--sway-threshold=0.99")
    assert found.ret == 0
    told = probes(project.path / "out.json")
    assert [one["item"] for one in told["dk"]["samples"]] == ["one", "two"]
    assert json.loads((project.path / "out.json").read_text())["gate"]["status"] == "partial"
    found.stdout.fnmatch_lines(["*--sway-limit=2: each probe measured at most 2 of its items*"])


WARNS = SPEC.replace("[one, two, three, four, five]", "[one]", 1)


def test_a_warning_is_a_failure_where_it_is_strict(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=WARNS)
    mild = project.runpytest("--sway-json=out.json")
    assert probes(project.path / "out.json")["dk"]["verdict"] == "warn"
    mild.assert_outcomes(passed=4, warnings=1)
    strict = project.runpytest("--sway-strict")
    strict.assert_outcomes(passed=3, failed=1)
    strict.stdout.fnmatch_lines(["*1 probe ended in a warning, which fails the gate with --sway-strict: dk*"])
    assert strict.ret == 1


@pytest.mark.parametrize(("name", "begins"), [("dk", "dk: delta_kl: "), ("delta_kl", "delta_kl: ")])
def test_a_warning_names_the_probe_once(project: pytest.Pytester, name: str, begins: str) -> None:
    project.makefile(".yaml", sway=WARNS.replace("name: dk", f"name: {name}"))
    found = project.runpytest()
    (line,) = [line for line in found.outlines if "SwayWarning: " in line]
    assert line.partition("SwayWarning: ")[2].startswith(begins)
    assert line.count("delta_kl: ") == 1


KEPT = """
from tests.support import fake_models
from pytest_sway.backends.fake import FakeBackend

ASKED = []


class Kept(FakeBackend):
    identity = "fakellm"


def answer(request):
    with open("asked.txt", "a") as file:
        file.write("x")
    if {stop!r} in str(request):
        {what}
    return fake_models.answer(request)


def pytest_sway_backend(config, model):
    return Kept(answer)
"""


def asked(project: pytest.Pytester) -> int:
    """How much the backend was asked since this was called last."""
    path = project.path / "asked.txt"
    count = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def test_after_ctrl_c_the_next_run_measures_only_the_rest(project: pytest.Pytester) -> None:
    head, tail = SPEC.split("kind: adapter_ablation", 1)
    spec = f"{head}kind: adapter_ablation{tail.replace('[one,', '[stop,', 1)}"
    project.makefile(".yaml", sway=spec)
    project.makeconftest(KEPT.format(stop="never", what="pass"))
    project.runpytest("-k", "baseline or dk")
    first = asked(project)
    project.makeconftest(KEPT.format(stop="stop", what="raise KeyboardInterrupt"))
    found = project.runpytest_inprocess("--sway-json=out.json", no_reraise_ctrlc=True)
    assert found.ret == pytest.ExitCode.INTERRUPTED
    assert {name: p["verdict"] for name, p in probes(project.path / "out.json").items()} == {
        "baseline": "pass",
        "dk": "pass",
    }
    found.stdout.fnmatch_lines(
        [
            "FAILED: could not be measured. *",
            "note: the run was stopped early; the model's answers are cached*",
        ]
    )
    found.stdout.fnmatch_lines(["*2 probes planned but not reported: curve, talk*"])
    assert asked(project) < first
    project.makeconftest(KEPT.format(stop="never", what="pass"))
    project.runpytest().assert_outcomes(passed=4)
    assert asked(project) > 0


def test_a_server_that_ends_is_an_error_of_what_it_was_asked(project: pytest.Pytester) -> None:
    """And of nothing that was answered before."""
    project.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.base import BackendError
        from pytest_sway.backends.fake import FakeBackend

        def answer(request):
            if isinstance(request.prompt, tuple):  # turns, which the last probe asks
                raise BackendError("the server does not answer any more")
            return fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    found = project.runpytest("--sway-json=out.json")
    found.assert_outcomes(passed=3, failed=1)
    results = probes(project.path / "out.json")
    assert results["talk"]["verdict"] == "error"
    says = "the server does not answer any more; run the suite again"  # a FakeBackend has no identity
    assert results["talk"]["message"] == says
    found.stdout.no_fnmatch_line("*Traceback*")

"""The examples in the hooks' documentation are whole conftests, and work."""

from __future__ import annotations

import inspect
import json
import textwrap

import pytest

from pytest_sway import hookspecs
from tests.support import fake_models
from tests.support.fake_models import SPEC

HEAD = SPEC.split("suite:")[0] + "suite:\n"


def example(hook: str) -> str:
    """What follows ``Example::`` in a hook's documentation."""
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    before, found, code = text.partition("Example::\n")
    assert before
    assert found
    return textwrap.dedent(code)


def test_every_hook_has_one() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("pytest_")]
    assert sorted(hooks) == ["pytest_sway_backend", "pytest_sway_probes", "pytest_sway_report"]
    for hook in hooks:
        assert f"def {hook}(" in example(hook)


class Serving:
    def pytest_sway_backend(self, model: object) -> object:
        return fake_models.backend(model)  # type: ignore[arg-type]


def test_the_probes_example(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(example("pytest_sway_probes"))
    pytester.makefile(".yaml", sway=HEAD + "  - {name: s, kind: falls_silent, prompts: [one, two, three]}\n")
    pytester.runpytest("--sway-json=out.json", plugins=[Serving()]).assert_outcomes(passed=1)
    [found] = json.loads((pytester.path / "out.json").read_text())["probes"]
    assert (found["kind"], found["raw"], found["verdict"]) == ("falls_silent", 0.0, "pass")


def test_the_backend_example(pytester: pytest.Pytester) -> None:
    """It prefers "please" by 1 nat in 2 tokens, and its nulls do not."""
    pytester.makeconftest(example("pytest_sway_backend"))
    triples = ", ".join(f"{{prompt: p{i}, chosen: yes please {i}, rejected: no {i}}}" for i in range(5))
    pytester.makefile(
        ".yaml", sway=f"{HEAD}  - {{name: baseline, kind: preference_flip, triples: [{triples}]}}\n"
    )
    pytester.runpytest("--sway-json=out.json").assert_outcomes(passed=1)
    [found] = json.loads((pytester.path / "out.json").read_text())["probes"]
    assert found["raw"] == pytest.approx(0.5)


def test_the_report_example(project: pytest.Pytester) -> None:
    serving = (project.path / "conftest.py").read_text()
    project.makeconftest(f"{example('pytest_sway_report')}\n\n{serving}")
    result = project.runpytest()
    result.stdout.fnmatch_lines(["GATE PASSED", "1 scores are in scores.json"])
    [(adapter, score)] = json.loads((project.path / "scores.json").read_text()).items()
    assert adapter.endswith("adapters/good")
    assert 0.6 <= score <= 1

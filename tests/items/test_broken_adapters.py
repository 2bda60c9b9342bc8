"""An adapter whose files show it to be broken is reported before a model is loaded, and hides no other."""

from __future__ import annotations

import pytest

from tests.support import fake_models
from tests.support.adapter_stubs import FACTORS, adapter_stub
from tests.support.paths import QUICKSTART

EMPTY = dict.fromkeys(FACTORS, (0,))
MODELS = """\
version: 1
models:
  base: {{kind: {kind}, base: fakellm}}
  ft: {{kind: {kind}, base: fakellm, adapter: {adapter}}}
suite:
  - {{name: dk, kind: delta_kl, prompts: [one, two, three]}}
  - {{name: talk, kind: multi_turn_coherence_decay, prompts: [one, two, three]}}
"""


@pytest.fixture
def project(project: pytest.Pytester) -> pytest.Pytester:
    fake_models.LOADS.clear()
    adapter_stub(project.path / "good")
    adapter_stub(project.path / "bad", EMPTY)
    return project


def spec(project: pytest.Pytester, adapter: str, kind: str = "hf") -> None:
    (project.path / "sway.yaml").write_text(MODELS.format(adapter=adapter, kind=kind))


def test_one_broken_adapter_is_an_error_of_the_spec(project: pytest.Pytester) -> None:
    spec(project, "bad")
    result = project.runpytest("sway.yaml", "--collect-only")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*sway.yaml:4:42: models.ft.adapter: *bad: 2 of 2 tensors in * are empty*"])
    assert not fake_models.LOADS


@pytest.mark.slow
def test_one_broken_adapter_is_named_as_on_the_command_line(project: pytest.Pytester) -> None:
    spec(project, "good")
    result = project.runpytest("sway.yaml", "--sway-adapter=bad")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*sway.yaml: --sway-adapter=bad: *bad: 2 of 2 tensors in * are empty*"])
    assert not fake_models.LOADS


def test_a_broken_adapter_in_a_list_is_named_before_measuring(project: pytest.Pytester) -> None:
    spec(project, "[bad, good]")
    result = project.runpytest("sway.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*sway.yaml:4:*: models.ft.adapter: *bad: 2 of 2 tensors in * are empty*"])
    assert not fake_models.LOADS


@pytest.mark.slow
def test_a_broken_adapter_of_a_pattern_fails_its_gate(
    project: pytest.Pytester,
) -> None:
    (project.path / "run").mkdir()
    for name in ("good", "bad"):
        (project.path / name).rename(project.path / "run" / f"checkpoint-{name}")
    spec(project, "run/checkpoint-*")
    result = project.runpytest("sway.yaml")
    result.assert_outcomes(passed=2, warnings=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["GATE FAILED sway.yaml[[]checkpoint-bad[]]", "*not evaluated: run/checkpoint-bad: 2 of 2 tensors in"]
    )
    assert fake_models.LOADS == ["fakellm"]


@pytest.mark.slow
def test_files_of_another_backend_are_not_looked_at(project: pytest.Pytester) -> None:
    spec(project, "bad", kind="dummy")
    project.runpytest("sway.yaml").assert_outcomes(passed=2)


@pytest.mark.slow
def test_a_broken_null_adapter_is_an_error_of_the_spec(project: pytest.Pytester) -> None:
    spec(project, "good")
    text = (project.path / "sway.yaml").read_text()
    nulls = "suite:\n  - {name: n, kind: null_adapter, family: yours, adapters: [good, bad]}\n"
    (project.path / "sway.yaml").write_text(text.replace("suite:\n", nulls))
    result = project.runpytest("sway.yaml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*sway.yaml:6:*suite[[]0[]].adapters: *bad: 2 of 2 tensors in * are empty*"])


@pytest.mark.slow
def test_what_peft_refuses_is_reported_before_the_base_loads(
    pytester: pytest.Pytester,
) -> None:
    """The base does not exist, and nobody notices: the adapter is refused first."""
    adapter_stub(pytester.path / "prompt", peft_type="PROMPT_TUNING")
    spec = MODELS.format(adapter="prompt", kind="hf").replace("base: fakellm", f"base: {pytester.path}/none")
    (pytester.path / "none").mkdir()
    (pytester.path / "sway.yaml").write_text(spec)
    result = pytester.runpytest("sway.yaml")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["no adapter: *prompt: peft_type PROMPT_TUNING is not supported*"])


@pytest.mark.slow
def test_what_needs_peft_to_be_seen_stays_with_its_adapter_too(pytester: pytest.Pytester) -> None:
    adapter_stub(pytester.path / "prompt", peft_type="PROMPT_TUNING")
    adapters = f"[prompt, {QUICKSTART}/adapters/healthy]"
    text = MODELS.format(adapter=adapters, kind="hf").replace("base: fakellm", f"base: {QUICKSTART}/base")
    (pytester.path / "sway.yaml").write_text(text)
    result = pytester.runpytest("sway.yaml", "-k", "dk", "-rA")
    result.assert_outcomes(failed=1, errors=1, deselected=2)  # three words are no more than noise
    result.stdout.fnmatch_lines(["no adapter: *prompt: peft_type PROMPT_TUNING is not supported*"])

"""What the profiles of ``defaults`` leave of a probe, and of the null population."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_sway.probes.base import QUICK_ITEMS, ProbeContext
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.probes.leakage import Leakage
from pytest_sway.probes.registry import find, kinds
from pytest_sway.probes.style_fingerprint import StyleFingerprint
from tests.support.fake_models import SPEC

QUICK, THOROUGH = ProbeContext(profile="quick"), ProbeContext(profile="thorough")


@pytest.mark.parametrize("kind", kinds())
def test_every_value_of_a_profile_is_one_that_a_spec_may_write(kind: str) -> None:
    probe = find(kind)
    assert probe is not None
    options = probe.options_type()
    for values in options.profiles.values():
        for name, value in values.items():
            assert name in options.model_fields
            assert value != options.model_fields[name].default
            options.__pydantic_validator__.validate_assignment(options.model_construct(), name, value)


def test_quick_is_less_than_standard_and_thorough_is_more() -> None:
    offsets = [
        Leakage().with_context(ProbeContext(profile=profile)).options.offsets
        for profile in ("quick", "standard", "thorough")
    ]
    assert offsets == sorted(set(offsets))


def test_quick_leaves_out_what_takes_long_and_says_so(project: pytest.Pytester) -> None:
    spec = SPEC.replace("suite:", "defaults: {profile: quick}\nsuite:")
    spec += "  - {name: context, kind: prompt_collapse, prompts: [a, b, c, d]}\n"
    project.makefile(".yaml", sway=spec)
    project.runpytest("sway.yaml", "--sway-json=out.json")
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    (context,) = [probe for probe in found["probes"] if probe["name"] == "context"]
    assert (context["verdict"], context["message"]) == ("skip", "not measured with profile: quick")


def test_what_the_spec_says_goes_before_the_profile() -> None:
    own = StyleFingerprint(max_new_tokens=128)
    assert own.with_context(QUICK).options.max_new_tokens == 128
    assert own.with_context(THOROUGH).options.max_new_tokens == 128


def test_quick_looks_at_few_items_and_a_limit_at_fewer() -> None:
    probe = DeltaKL(prompts=[f"prompt {i}" for i in range(20)])
    assert len(probe.with_context(QUICK).options.prompts) == QUICK_ITEMS
    assert len(probe.with_context(ProbeContext(profile="quick", limit=2)).options.prompts) == 2
    assert len(probe.with_context(ProbeContext()).options.prompts) == 20


@pytest.mark.parametrize(("profile", "draws"), [("quick", 8), ("standard", 8), ("thorough", 32)])
def test_a_clear_effect_s_draws(project: pytest.Pytester, profile: str, draws: int) -> None:
    project.makefile(".yaml", sway=SPEC.replace("suite:", f"defaults: {{profile: {profile}}}\nsuite:"))
    project.runpytest("sway.yaml", "--sway-json=out.json")
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    (null,) = [probe["null"] for probe in found["probes"] if probe["name"] == "dk"]
    assert null["n"] == draws
    assert found["gate"]["status"] == "passed"


def test_a_profile_that_there_is_not_is_told_with_those_that_there_are(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("suite:", "defaults: {profile: fast}\nsuite:"))
    result = project.runpytest("sway.yaml")
    result.stdout.fnmatch_lines(["*defaults.profile*'fast'*quick*standard*thorough*"])

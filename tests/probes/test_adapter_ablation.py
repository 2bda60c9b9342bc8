"""adapter_ablation on fake curves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.adapter_ablation import AdapterAblation
from pytest_sway.probes.base import Judgement, OptionsError
from pytest_sway.requests import Divergence, Generation, NullSeed, Request, View, Views
from pytest_sway.result import Measurement, Verdict
from tests.support.null_samples import null_sample

BASE, TUNED = View("b"), View("b", "a")
QUIET = null_sample(signal=[0.0010, 0.0012, 0.0009, 0.0011, 0.0010, 0.0013, 0.0008, 0.0011])
PROMPTS = ["a", "b", "c", "d", "e"]


def measured(curve, prompts=PROMPTS, **options):
    """A probe's measurement where the divergence is ``curve(λ, index of the prompt)``."""

    def answer(request: Request[object]) -> object:
        if isinstance(request, Divergence):
            scaled = request.p if request.q.is_base else request.q
            return curve(scaled.scale, prompts.index(request.prompt))
        return Generation("", ())

    probe = AdapterAblation(prompts=prompts, **options)
    engine = Engine(FakeBackend(answer))
    return probe, engine.run(probe, Views(BASE, TUNED, TUNED)).measured


def judged(curve, **options) -> Judgement:
    probe, found = measured(curve, **options)
    return probe.judge(found, QUIET)


def spread(index: int) -> float:
    return float(1 + 0.1 * math.sin(3 * index))


def power(p: float):
    return lambda lam, i: 0.3 * spread(i) * lam ** (p + 0.05 * math.cos(i))


@given(st.floats(0.5, 3.0))
def test_the_exponent_of_a_power_law_is_found(p: float) -> None:
    _, found = measured(lambda lam, i: 0.3 * spread(i) * lam**p)
    assert found.raw == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize(
    ("curve", "verdict", "says"),
    [
        (power(2.0), Verdict.PASS, "grows up to full strength"),
        (power(1.5), Verdict.PASS, "above 1.25"),
        (lambda lam, i: 0.3 * spread(i) * min(lam, 0.25) / 0.25, Verdict.FAIL, "saturated"),
        (lambda lam, i: 0.3 * spread(i) * lam * (1.6 - lam), Verdict.FAIL, "unsound: the effect decreases"),
        (power(1.25), Verdict.WARN, "the exponent may be 1.25 or less"),
        (power(0.9), Verdict.WARN, "the exponent may be 1.25 or less"),
        (lambda lam, i: 0.001 * lam**2, Verdict.SKIP, "too weak to judge its shape"),
        (lambda lam, i: 0.0, Verdict.SKIP, "too weak to judge its shape"),
    ],
)
def test_verdicts(curve, verdict: Verdict, says: str) -> None:
    found = judged(curve)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


def test_too_few_prompts_decide_nothing() -> None:
    found = judged(power(2.0), prompts=["a", "b"])
    assert found.verdict is Verdict.WARN
    assert "at least three" in found.message


def test_dlm_sways_bands_are_judged_only_if_the_spec_sets_them() -> None:
    assert judged(power(2.0)).verdict is Verdict.PASS
    found = judged(power(2.0), assert_saturation_between=(0.3, 1.05))
    assert found.verdict is Verdict.FAIL
    assert "saturation" in found.message
    assert found.evidence == {"passed_saturation": False}
    assert judged(power(2.0), assert_overshoot_gte=1.02).verdict is Verdict.PASS


def test_dlm_sways_evidence() -> None:
    _, found = measured(lambda lam, i: 0.3 * lam)
    evidence = found.evidence
    assert evidence["lambdas"] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert evidence["mean_divergence_per_lambda"] == pytest.approx([0.3 * x for x in evidence["lambdas"]])
    assert evidence["linearity"] == pytest.approx(1.0)
    assert evidence["overshoot"] == pytest.approx(1.25)
    assert (evidence["saturation_lambda"], evidence["saturation_reason"]) == (1.25, "found")


def test_a_flat_curve_is_not_a_straight_line() -> None:
    _, found = measured(lambda lam, i: 0.0)
    assert found.evidence["linearity"] == 0.0
    assert found.evidence["saturation_reason"] == "flat_curve"
    assert found.raw is None


def test_full_strength_is_measured_without_being_in_the_grid() -> None:
    _, found = measured(power(2.0), lambdas=[0.2, 0.5, 0.9])
    assert found.evidence["lambdas"] == [0.2, 0.5, 0.9]
    assert len(found.evidence["mean_divergence_per_lambda"]) == 3
    assert found.statistics["signal"] == pytest.approx(sum(found.samples) / 5)


def test_a_null_is_measured_at_full_strength_alone() -> None:
    seen: list[Request[object]] = []

    def answer(request: Request[object]) -> object:
        seen.append(request)
        return 0.1 if isinstance(request, Divergence) else Generation("", ())

    null = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
    probe = AdapterAblation(prompts=["a"])
    Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED), [null])
    assert [r.q.scale for r in seen if isinstance(r, Divergence) and r.q.null] == [1.0]


@pytest.mark.parametrize(
    "lambdas", [[0, 1], [0, 0.5, 0.5], [0, 1, 1], [0, -0.5, 1], [0, 2, 3], [0, 0.5, math.nan]]
)
def test_a_grid_that_cannot_be_fitted_is_refused(lambdas: list[float]) -> None:
    with pytest.raises(OptionsError):
        AdapterAblation(prompts=["a"], lambdas=lambdas)


def test_a_dead_prompt_does_not_break_the_fit() -> None:
    _, found = measured(lambda lam, i: 0.0 if i == 0 else 0.3 * lam**2)
    assert isinstance(found, Measurement)
    assert found.raw == pytest.approx(2.0)

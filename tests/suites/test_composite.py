"""The composite: weights, E and H, bands, what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.result import Claim, ProbeResult, Verdict
from pytest_sway.suites.composite import composite


def probe(category: str, score: float | None, **fields: object) -> ProbeResult:
    values = {"kind": "k", "verdict": Verdict.PASS, "message": "", "claim": Claim.SHAPE, **fields}
    return ProbeResult(name="p", score=score, category=category, **values)  # type: ignore[arg-type]


def effect(score: float, *, real: bool = True) -> ProbeResult:
    return probe("adherence", score, claim=Claim.EFFECT, distinguishable=real)


def test_weights_are_renormalised_over_what_is_there() -> None:
    found = composite([effect(0.8), probe("ablation", 1.0)])
    assert found.overall == pytest.approx((0.30 * 0.8 + 0.15 * 1.0) / 0.45)
    assert found.components == {"adherence": 0.8, "ablation": 1.0}


def test_weights_merge_over_the_defaults() -> None:
    found = composite([effect(0.8), probe("ablation", 0.6)], {"ablation": 0.0})
    assert found.overall == pytest.approx(0.8)
    assert found.weights["attribution"] == 0.35


def test_no_real_effect_earns_nothing_for_harmlessness() -> None:
    harmless = probe("calibration", 1.0, claim=Claim.NO_HARM)
    assert composite([effect(0.49, real=False), harmless]).overall == 0.0
    assert composite([effect(0.25), harmless]).effect_factor == pytest.approx(0.5)


def test_moving_the_model_is_not_learning() -> None:
    """An adapter of another document: far from the base, harmless, and nothing of what was asked."""
    moved, harmless = effect(0.9), probe("calibration", 1.0, claim=Claim.NO_HARM)
    unlearned = probe("attribution", 0.05, claim=Claim.EFFECT, distinguishable=True)
    learned = probe("attribution", 0.5, claim=Claim.EFFECT, distinguishable=True)
    assert composite([moved, harmless, unlearned]).effect_factor == pytest.approx(0.1)
    assert composite([moved, harmless, unlearned, learned]).effect_factor == 1.0
    broken = probe("attribution", None, claim=Claim.EFFECT, verdict=Verdict.ERROR)
    assert composite([moved, harmless, broken]).effect_factor == 1.0


def test_harm_takes_away_in_proportion() -> None:
    found = composite([effect(0.9), probe("calibration", 0.1, claim=Claim.NO_HARM)])
    assert found.harm_factor == pytest.approx(0.2)


def test_without_an_effect_probe_that_is_the_first_finding() -> None:
    found = composite([probe("ablation", 1.0)])
    assert found.effect_factor == 1.0
    assert "no effect was measured" in found.findings[0]


def test_findings_count_errors_and_name_what_is_low() -> None:
    errors = [probe("calibration", None, verdict=Verdict.ERROR)] * 2
    found = composite([effect(0.8), *errors, probe("ablation", 0.2)])
    assert found.findings == ["2 probes ended in an error", "low category score: ablation 0.20"]
    assert composite([effect(0.8), errors[0]]).findings == ["1 probe ended in an error"]


def test_without_weights_there_is_no_composite() -> None:
    assert composite([effect(0.8)], {"adherence": 0.0}).overall == 0.0


def test_skips_errors_and_the_baseline_do_not_count() -> None:
    others = [
        probe("ablation", 0.9, verdict=Verdict.SKIP),
        probe("attribution", 0.9, verdict=Verdict.ERROR),
        probe("baseline", 1.0),
    ]
    assert composite([effect(0.7), *others]).overall == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("score", "band"), [(0.29, "noise"), (0.3, "partial"), (0.6, "healthy"), (0.99, "healthy")]
)
def test_bands(score: float, band: str) -> None:
    assert composite([effect(1.0), probe("ablation", score)], {"adherence": 0.0}).band == band


def test_suspicious_only_where_a_probe_caught_something() -> None:
    caught = probe("ablation", 0.49, kind="adapter_ablation", verdict=Verdict.FAIL, weight=0.0)
    assert composite([effect(0.95), caught]).band == "suspicious"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=6))
def test_the_composite_is_a_score(pairs: list[tuple[float, float]]) -> None:
    found = composite([probe("adherence", score, weight=weight) for score, weight in pairs])
    assert 0.0 <= found.overall <= 1.0 + 1e-9

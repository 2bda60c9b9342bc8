"""The composite: the categories' weighted mean × effect × harmlessness, from the probes' scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals

pytestmark = pytest.mark.nightly

WEIGHTS = {"adherence": 0.3, "attribution": 0.35, "calibration": 0.2, "ablation": 0.15, "baseline": 0.0}


@pytest.mark.parametrize("name", ["healthy", "tools"])
def test_composite(reports: dict[str, Any], name: str) -> None:
    report = reports[name]
    probes = [probe for probe in report["probes"] if probe["score"] is not None]
    means = {}
    for category in {probe["category"] for probe in probes}:
        members = [probe for probe in probes if probe["category"] == category]
        means[category] = np.average([p["score"] for p in members], weights=[p["weight"] for p in members])
    mean = np.average(list(means.values()), weights=[WEIGHTS[category] for category in means])
    effects = [probe for probe in probes if probe["claim"] == "effect"]
    effects = [probe for probe in effects if probe["category"] == "attribution"] or effects
    best = max((probe["score"] for probe in effects if probe["distinguishable"]), default=0.0)
    worst = min(probe["score"] for probe in probes if probe["claim"] == "no_harm")
    effect, harmlessness = min(1.0, 2 * best), min(1.0, 2 * worst)
    found = report["score"]
    assert found["components"] == equals(means)
    assert [found["effect_factor"], found["harm_factor"]] == equals([effect, harmlessness])
    assert found["overall"] == equals(mean * effect * harmlessness)


def test_both_factors_are_at_work(reports: dict[str, Any]) -> None:
    assert 0 < reports["tools"]["score"]["effect_factor"] < 1
    assert 0 < reports["tools"]["score"]["harm_factor"] < 1


def test_score_of_no_harm(reported: dict[str, Any], reported_with_tools: dict[str, Any]) -> None:
    """margin / (margin + harm); where a gain is asked for, gain / (gain + what is asked)."""
    harm = -reported["external_perplexity"]["raw"]
    assert harm > 0
    assert reported["external_perplexity"]["score"] == equals(0.1 / (0.1 + harm))
    gain = reported_with_tools["external_perplexity"]["raw"]
    assert reported_with_tools["external_perplexity"]["verdict"] == "fail"
    assert reported_with_tools["external_perplexity"]["score"] == equals(gain / (gain + 0.2))

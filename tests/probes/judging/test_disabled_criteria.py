"""Measurements that every condition of a kind would fail, judged with the condition switched off."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import Probe
from pytest_sway.probes.calibration_drift import CalibrationDrift
from pytest_sway.probes.external_perplexity import ExternalPerplexity
from pytest_sway.probes.leakage import Leakage
from pytest_sway.probes.paraphrase_invariance import ParaphraseInvariance
from pytest_sway.probes.preference_flip import PreferenceFlip
from pytest_sway.probes.section_internalization import SectionInternalization
from pytest_sway.result import Measurement, Verdict

ITEMS = 24
CASE = {"prompt": "p", "gold": "g", "paraphrases": ["q"]}


def spread(value: float) -> tuple[float, ...]:
    return tuple(value + 0.001 * (i % 3) for i in range(ITEMS))


def verdict(probe: Probe[Any], measured: Measurement) -> Verdict:
    return probe.judge(measured, None).verdict


RECITED = Measurement(
    raw=0.9,
    samples=spread(0.9),
    series={"sections": [spread(0.9)]},
    evidence={"mean_fragility": None, "recited": []},
)
FORGOTTEN = Measurement(
    raw=1.0,
    samples=tuple(-value for value in spread(2.0)),
    series={
        "kinds": [tuple(-value for value in spread(2.0))],
        "works": [tuple(-value for value in spread(2.0))],
    },
    evidence={"regressed_count": ITEMS, "known_to_base": ITEMS},
)
MEMORISED = Measurement(
    raw=1.0,
    samples=spread(1.0),
    base_value=1.0,
    ft_value=0.0,
    evidence={"per_case": [], "specific_paraphrase_lift_mean": 0.0},
    series={"verbatim": [spread(1.0)], "paraphrased": [spread(0.0)], "specific_paraphrased": [spread(0.0)]},
)
NOT_FLIPPED = Measurement(
    raw=1.0,
    samples=spread(1.0),
    series={"margins": [[-3.0] * ITEMS, [-2.0] * ITEMS]},
    evidence={"per_triple": [{"prompt": "p", "chosen": "c", "ft_margin": -2.0}] * ITEMS},
)
REVERTED = Measurement(
    raw=0.9,
    samples=spread(0.3),
    statistics={"gain": 0.3},
    evidence={"empty_answers": 0, "total": ITEMS, "reverts": ITEMS, "reverted": []},
)
ONE_SECTION = Measurement(
    raw=0.3,
    samples=(0.3, 0.3),
    series={"interval": [(0.2, 0.4)]},
    evidence={"per_section": [{"section_id": i, "verdict": "unclear", "effective_sis": 0.3} for i in "ab"]},
)


@pytest.mark.parametrize(
    ("probe", "options", "measured", "judged"),
    [
        (Leakage, {"assert_recall_lt": 1}, RECITED, Verdict.FAIL),
        (
            CalibrationDrift,
            {
                "assert_mean_delta_gte": 0,
                "assert_fraction_regressed_lt": 1,
                "items": [[f"{i}", "b"] for i in range(ITEMS)],
            },
            FORGOTTEN,
            Verdict.FAIL,
        ),
        (ExternalPerplexity, {"assert_mean_delta_gte": 0, "max_chunks": ITEMS}, FORGOTTEN, Verdict.FAIL),
        (ParaphraseInvariance, {"min_generalization_ratio": 0, "cases": [CASE]}, MEMORISED, Verdict.FAIL),
        (
            ParaphraseInvariance,
            {"max_generalization_ratio_if_memorize": float("inf"), "intent": "memorize", "cases": [CASE]},
            Measurement(**{**vars(MEMORISED), "series": {**MEMORISED.series, "paraphrased": [spread(0.9)]}}),
            Verdict.FAIL,
        ),
        (PreferenceFlip, {"assert_flip_rate_gte": 0}, NOT_FLIPPED, Verdict.FAIL),
        (PreferenceFlip, {"assert_flip_rate_gte": 0, "min_margin_gain": -1}, NOT_FLIPPED, Verdict.FAIL),
        (AdapterRevert, {"assert_revert_rate_lt": 1, "cases": [CASE]}, REVERTED, Verdict.FAIL),
        (SectionInternalization, {"assert_passing_section_frac": 0}, ONE_SECTION, Verdict.WARN),
    ],
)
def test_a_switched_off_condition_neither_fails_nor_warns(
    probe: type[Probe[Any]], options: dict[str, Any], measured: Measurement, judged: Verdict
) -> None:
    others = {
        name: value for name, value in options.items() if name in ("cases", "items", "intent", "max_chunks")
    }
    assert verdict(probe(**others), measured) is judged
    assert verdict(probe(**options), measured) is Verdict.PASS


@pytest.mark.parametrize("rate", [0, 0.25])
def test_a_rate_of_0_tolerates_none(rate: float) -> None:
    none = Measurement(**{**vars(REVERTED), "raw": 0.0})
    assert verdict(AdapterRevert(cases=[CASE], assert_revert_rate_lt=rate), none) is Verdict.PASS
    assert verdict(AdapterRevert(cases=[CASE], assert_revert_rate_lt=rate), REVERTED) is Verdict.FAIL

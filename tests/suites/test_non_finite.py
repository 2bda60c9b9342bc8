"""Numbers that are not finite never reach a score, and what else was known stays."""

from __future__ import annotations

import math

import pytest

from pytest_sway.result import ProbeResult, Verdict
from pytest_sway.suites.non_finite import without_non_finite

SOUND = ProbeResult(
    "p",
    "k",
    Verdict.PASS,
    "as it is",
    score=0.8,
    raw=0.1,
    z_score=3.0,
    base_value=1.0,
    ft_value=2.0,
    ci_95=(0.05, 0.15),
    evidence={"items": 3, "curve": [0.1, {"at": 0.2}]},
)


def changed(**fields: object) -> ProbeResult:
    return without_non_finite(ProbeResult(**{**SOUND.__dict__, **fields}))  # type: ignore[arg-type]


def test_finite_numbers_stay_as_they_are() -> None:
    assert without_non_finite(SOUND) is SOUND


@pytest.mark.parametrize("raw", [math.nan, math.inf])
def test_a_headline_is_an_error(raw: float) -> None:
    found = changed(raw=raw)
    assert (found.verdict, found.score, found.raw, found.z_score, found.ci_95) == (Verdict.ERROR, *[None] * 4)
    assert found.evidence == {**SOUND.evidence, "non_finite_inputs": ["raw"]}
    assert found.message == f"raw is {raw}: the model returned NaN or infinity"


@pytest.mark.parametrize("field", ["score", "z_score", "base_value", "ft_value", "ci_95"])
def test_another_number_is_named_and_left_out(field: str) -> None:
    found = changed(**{field: (0.0, math.inf) if field == "ci_95" else math.nan})
    assert getattr(found, field) is None
    assert found.evidence["defensively_nulled"] == [field]
    assert {**found.__dict__, field: None, "evidence": None} == {
        **SOUND.__dict__,
        field: None,
        "evidence": None,
    }


def test_evidence_is_searched_to_its_depth() -> None:
    found = changed(evidence={"curve": [0.1, {"at": math.nan}], "words": "nan", "items": 3})
    assert found.evidence == {
        "curve": [0.1, {"at": None}],
        "words": "nan",
        "items": 3,
        "defensively_nulled": ["evidence.curve"],
    }
    assert (found.verdict, found.score, found.raw) == (Verdict.PASS, 0.8, 0.1)

"""prompt_policy raw: questions as they stand, a blank between question and answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel, mean_divergence
from tests.arithmetic.spec import CASES, OWN_ITEMS, TRIPLES

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def reported_raw(reports: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every probe's entry, by its kind."""
    return {probe["name"]: probe for probe in reports["raw"]["probes"]}


def change(plain: PlainModel, prompt: str, text: str) -> float:
    """Gain of a text after a prompt, in nats per token."""
    base, tuned = (plain.continuation(view, prompt, text).mean().item() for view in (BASE, TUNED))
    return tuned - base


def test_preference_flip(reported_raw: dict[str, Any], plain: PlainModel) -> None:
    changes = [
        change(plain, one["prompt"], f" {one['chosen']}")
        - change(plain, one["prompt"], f" {one['rejected']}")
        for one in TRIPLES[:3]
    ]
    assert reported_raw["preference_flip"]["raw"] == equals(np.mean(changes), near_zero=True)


def test_items_of_your_own(reported_raw: dict[str, Any], plain: PlainModel) -> None:
    """A text that is no question is continued by what stands there."""
    (question, answer), (beginning, text) = OWN_ITEMS
    expected = [change(plain, question, f" {answer}"), change(plain, beginning, text)]
    found = reported_raw["calibration_drift"]
    assert [one["value"] for one in found["samples"]] == equals(expected, near_zero=True)
    assert found["ft_value"] == equals(np.mean(expected), near_zero=True)


def test_delta_kl_at_one_position(reported_raw: dict[str, Any], plain: PlainModel) -> None:
    each = [mean_divergence(plain, plain.raw(case["prompt"]), []) for case in CASES[:3]]
    assert reported_raw["delta_kl"]["raw"] == equals(np.mean(each))

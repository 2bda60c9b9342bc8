"""multi_turn_coherence_decay: KL by turn along the adapter's own dialogues, and its half-life."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import TUNED, PlainModel, mean_divergence
from tests.arithmetic.spec import CASES, FOLLOW_UPS

pytestmark = pytest.mark.nightly


def dialogue(plain: PlainModel, question: str) -> list[float]:
    """KL(base ‖ tuned) over the first eight positions of the adapter's second and third reply."""
    turns, found = [question], []
    for turn in range(3):
        asked = plain.chat(*turns)
        reply = plain.greedy(TUNED, asked, 16)
        found.append(mean_divergence(plain, asked, reply[:7], kind="kl"))
        turns += [plain.decode(reply), FOLLOW_UPS[turn % len(FOLLOW_UPS)]]
    return found[1:]


def test_multi_turn_coherence_decay(reported: dict[str, Any], plain: PlainModel) -> None:
    curves = np.array([dialogue(plain, case["prompt"]) for case in CASES[:4]])
    slopes = [np.polyfit([2, 3], np.log(curve), 1)[0] for curve in curves]
    found = reported["multi_turn_coherence_decay"]
    assert found["evidence"]["per_turn_kls"] == equals(curves.mean(0).tolist())
    assert [one["value"] for one in found["samples"]] == equals(slopes, near_zero=True)
    assert np.mean(slopes) < 0
    assert found["raw"] == equals(min(np.log(2) / -np.mean(slopes), 10 * 3))

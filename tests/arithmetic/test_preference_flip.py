"""preference_flip: the change of the margin between the chosen and the rejected answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import TRIPLES

pytestmark = pytest.mark.nightly


def margins(plain: PlainModel, view: str, *, per_token: bool) -> np.ndarray:
    """log p(chosen) - log p(rejected) of every triple, each of the two per token or not."""
    answers = [
        [plain.answer(view, one["prompt"], one[key]) for key in ("chosen", "rejected")] for one in TRIPLES
    ]
    sums = [[(x.mean() if per_token else x.sum()).item() for x in pair] for pair in answers]
    return np.array([chosen - rejected for chosen, rejected in sums])


@pytest.mark.parametrize("name", ["preference_flip", "preference_flip.sum"])
def test_margins(reported: dict[str, Any], plain: PlainModel, name: str) -> None:
    before, after = (margins(plain, view, per_token=name == "preference_flip") for view in (BASE, TUNED))
    found = reported[name]
    assert [one["value"] for one in found["samples"]] == equals((after - before).tolist(), near_zero=True)
    assert found["raw"] == equals((after - before).mean())
    assert [found["base_value"], found["ft_value"]] == equals([before.mean(), after.mean()])
    assert found["ci_95"] == equals(list(t_interval(after - before)))
    wrong = before < 0
    assert found["evidence"]["base_wrong"] == wrong.sum()
    assert found["evidence"]["flipped"] == (wrong & (after > 0)).sum()
    assert found["evidence"]["flipped_back"] == (~wrong & (after < 0)).sum()


def test_score(reported: dict[str, Any]) -> None:
    """The lower of x / (x + floor) of the mean and the mean of the triples' own scores, floor 0.1."""
    found = reported["preference_flip"]
    each = np.maximum([one["value"] for one in found["samples"]], 0)
    of_mean = found["raw"] / (found["raw"] + 0.1)
    assert found["score"] == equals(min(of_mean, (each / (each + 0.1)).mean()))

"""adapter_revert: how much nearer to the gold the adapter's answers to paraphrases are than the base's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, Embedder, PlainModel
from tests.arithmetic.spec import CASES

pytestmark = pytest.mark.nightly


def test_adapter_revert(reported: dict[str, Any], plain: PlainModel, embedder: Embedder) -> None:
    """Cosines of sentence vectors, both answers cut to as many words as the gold has."""
    pairs = []
    for case in CASES[:4]:
        most = len(case["gold"].split())
        for question in case["paraphrases"]:
            written = [plain.decode(plain.greedy(view, plain.chat(question), 16)) for view in (TUNED, BASE)]
            texts = [" ".join(text.split()[:most]) for text in written]
            tuned, base, gold = embedder.encode([*texts, case["gold"]])
            pairs.append((float(tuned @ gold), float(base @ gold)))
    found = reported["adapter_revert"]
    got = [(one["cos_ft_gold"], one["cos_base_gold"]) for one in found["evidence"]["per_case"]]
    assert np.ravel(got).tolist() == equals(np.ravel(pairs).tolist(), near_zero=True)
    nearer = np.array([tuned - base for tuned, base in pairs])
    by_case = nearer.reshape(4, 2).mean(1)
    assert [one["value"] for one in found["samples"]] == equals(by_case.tolist(), near_zero=True)
    assert found["evidence"]["gain"] == equals(by_case.mean(), near_zero=True)
    assert found["evidence"]["gain_ci_95"] == equals(list(t_interval(by_case)), near_zero=True)
    rate = (nearer <= 0.02).mean()
    assert found["raw"] == equals(rate)
    hits = round(rate * 4)
    bounds = [stats.beta.ppf(0.025, hits, 4 - hits + 1), stats.beta.ppf(0.975, hits + 1, 4 - hits)]
    assert found["ci_95"] == equals(bounds)

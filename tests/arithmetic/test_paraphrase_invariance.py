"""paraphrase_invariance: gains in log-odds after the own question, other wordings, and other questions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import CASES

pytestmark = pytest.mark.nightly


def odds_gain(plain: PlainModel, question: str, gold: str) -> float:
    """Gain of Σ log p / (1 - p) over the gold's tokens, each p at most 0.999, per token."""
    sides = [plain.answer(view, question, gold).exp().clamp(max=0.999) for view in (BASE, TUNED)]
    base, tuned = (torch.log(p / (1 - p)).mean().item() for p in sides)
    return tuned - base


def nats_gain(plain: PlainModel, question: str, gold: str) -> float:
    """Gain of the gold in nats per token."""
    return float(plain.answer(TUNED, question, gold).mean() - plain.answer(BASE, question, gold).mean())


@pytest.fixture(scope="module")
def gains(plain: PlainModel) -> dict[str, np.ndarray]:
    """V, W, U in log-odds and v, w in nats, per token, of every case."""
    found: dict[str, list[float]] = {key: [] for key in "VWUvw"}
    for at, case in enumerate(CASES):
        others = [CASES[(at + k * len(CASES) // 5) % len(CASES)]["prompt"] for k in range(1, 5)]
        asked = {"V": [case["prompt"]], "W": case["paraphrases"], "U": others}
        for key, questions in asked.items():
            found[key].append(np.mean([odds_gain(plain, one, case["gold"]) for one in questions]).item())
        for key, questions in {"v": asked["V"], "w": asked["W"]}.items():
            found[key].append(np.mean([nats_gain(plain, one, case["gold"]) for one in questions]).item())
    return {key: np.array(values) for key, values in found.items()}


def test_effect(reported: dict[str, Any], gains: dict[str, np.ndarray]) -> None:
    found, specific = reported["paraphrase_invariance"], gains["V"] - gains["U"]
    assert [one["value"] for one in found["samples"]] == equals(specific.tolist())
    assert found["raw"] == equals(specific.mean())
    assert found["ci_95"] == equals(list(t_interval(specific)))
    mean = found["evidence"]["specific_paraphrase_lift_mean"]
    assert mean == equals((gains["W"] - gains["U"]).mean())


def test_ratio(reported: dict[str, Any], gains: dict[str, np.ndarray]) -> None:
    found = reported["paraphrase_invariance"]["evidence"]
    assert found["verbatim_lift_mean"] == equals(gains["v"].mean())
    assert found["paraphrase_lift_mean"] == equals(gains["w"].mean())
    assert found["generalization_ratio"] == equals(gains["w"].mean() / gains["v"].mean())


def test_interval_of_the_ratio(reported: dict[str, Any], gains: dict[str, np.ndarray]) -> None:
    """Fieller's: every ρ whose contrast w - ρ·v has 0 in its t interval; its ends solve a quadratic."""
    v, w = gains["v"], gains["w"]
    n = len(v)
    (vv, vw), (_, ww) = np.cov(v, w) * stats.t.ppf(0.975, n - 1) ** 2 / n
    coefficients = [v.mean() ** 2 - vv, -2 * (v.mean() * w.mean() - vw), w.mean() ** 2 - ww]
    found = reported["paraphrase_invariance"]["evidence"]
    assert found["generalization_ratio_ci_95"] == equals(sorted(np.roots(coefficients).tolist()))


def test_score(reported: dict[str, Any], gains: dict[str, np.ndarray]) -> None:
    """The smaller of the means of the cases' scores: verbatim, and under other words with half the floor."""
    verbatim = np.maximum(gains["V"] - gains["U"], 0)
    reworded = np.maximum(gains["W"] - gains["U"], 0)
    scores = [(verbatim / (verbatim + 0.2)).mean(), (reworded / (reworded + 0.5 * 0.2)).mean()]
    assert reported["paraphrase_invariance"]["score"] == equals(min(scores))

"""null_adapter: the null adapters' own numbers, and z and p of an adapter's number among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, PlainModel, mean_divergence
from tests.arithmetic.spec import PROMPTS, TRIPLES

pytestmark = pytest.mark.nightly


def test_draws_of_a_divergence(
    reported: dict[str, Any], plain: PlainModel, null_adapters: list[Path]
) -> None:
    """The same number, on the same prompts, with the null adapter in the adapter's place."""
    asked = [(plain.raw(prompt), plain.greedy(BASE, plain.raw(prompt), 7)) for prompt in PROMPTS]
    draws = [
        np.mean([mean_divergence(plain, *one, view=null.name) for one in asked]) for null in null_adapters
    ]
    assert reported["delta_kl"]["null"]["draws"] == equals(draws)


def test_draws_of_a_margin(reported: dict[str, Any], plain: PlainModel, null_adapters: list[Path]) -> None:
    def margin(view: str, triple: dict[str, str]) -> float:
        chosen, rejected = (
            plain.answer(view, triple["prompt"], triple[key]).mean() for key in ("chosen", "rejected")
        )
        return float(chosen - rejected)

    before = np.mean([margin(BASE, triple) for triple in TRIPLES])
    draws = [np.mean([margin(null.name, triple) for triple in TRIPLES]) - before for null in null_adapters]
    assert reported["preference_flip"]["null"]["draws"] == equals(draws, near_zero=True)


@pytest.mark.parametrize("name", ["delta_kl", "delta_kl.kl", "preference_flip"])
def test_z_and_p(reported: dict[str, Any], name: str) -> None:
    """Student's t for one more draw; of divergences on the scale -1/√T, of signed changes as they are."""
    found = reported[name]["null"]
    value, draws = reported[name]["raw"], np.array(found["draws"])
    if name != "preference_flip":
        value, draws = -1 / np.sqrt(value), -1 / np.sqrt(draws)
    n = len(draws)
    t = (value - draws.mean()) / (draws.std(ddof=1) * np.sqrt(1 + 1 / n))
    p = stats.t.sf(t, n - 1)
    assert found["p"] == equals(p)
    assert found["z"] == equals(stats.norm.isf(p))
    assert found["z"] == reported[name]["z_score"]


@pytest.mark.parametrize("name", ["delta_kl", "preference_flip"])
def test_the_rest_of_the_comparison(reported: dict[str, Any], name: str) -> None:
    found, value = reported[name]["null"], reported[name]["raw"]
    draws = np.array(found["draws"])
    assert found["mean"] == equals(draws.mean())
    assert found["std"] == equals(draws.std(ddof=1))
    assert found["ratio"] == equals(value / draws.mean())
    assert found["rank"] == (draws >= value).sum()
    assert found["rank_p"] == equals((found["rank"] + 1) / (len(draws) + 1))


def test_raw(reported: dict[str, Any], plain: PlainModel) -> None:
    """How far the adapter itself moves one fixed prompt, at one position."""
    assert reported["null_adapter"]["raw"] == equals(mean_divergence(plain, plain.raw("The"), []))

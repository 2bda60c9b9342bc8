"""delta_kl: mean divergence along the base's own greedy continuation, and its interval over prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel, kl, mean_divergence
from tests.arithmetic.spec import PROMPTS

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def continued(plain: PlainModel) -> dict[str, list[int]]:
    """What the base writes: one token less than there are positions."""
    return {prompt: plain.greedy(BASE, plain.raw(prompt), 7) for prompt in PROMPTS}


def test_jensen_shannon(reported: dict[str, Any], plain: PlainModel, continued: dict[str, list[int]]) -> None:
    each = [mean_divergence(plain, plain.raw(prompt), ids) for prompt, ids in continued.items()]
    assert [one["value"] for one in reported["delta_kl"]["samples"]] == equals(each)
    assert reported["delta_kl"]["raw"] == equals(np.mean(each))


def test_kl_is_of_the_adapter_from_the_base(
    reported: dict[str, Any], plain: PlainModel, continued: dict[str, list[int]]
) -> None:
    each = []
    for prompt, ids in continued.items():
        asked = plain.raw(prompt)
        base, tuned = (
            plain.log_probabilities(view, [*asked, *ids])[len(asked) - 1 :] for view in (BASE, TUNED)
        )
        each.append(kl(tuned, base).mean().item())
    assert reported["delta_kl.kl"]["raw"] == equals(np.mean(each))


def test_interval(reported: dict[str, Any]) -> None:
    """Below 8 items Student's t on the log of the mean, with se / mean as its standard error."""
    values = np.array([one["value"] for one in reported["delta_kl"]["samples"]])
    error = values.std(ddof=1) / np.sqrt(len(values)) / values.mean()
    reach = stats.t.ppf(0.975, len(values) - 1) * error
    assert reported["delta_kl"]["ci_95"] == equals([values.mean() * np.exp(sign * reach) for sign in (-1, 1)])


def test_score(reported: dict[str, Any]) -> None:
    """x / (x + floor) of what is left of x without its null's mean."""
    found = reported["delta_kl"]
    net = found["raw"] - np.mean(found["null"]["draws"])
    assert found["verdict"] == "pass"
    assert found["score"] == equals(net / (net + 0.02))


def test_score_of_what_does_not_stand_out_from_its_null(reported: dict[str, Any]) -> None:
    """The entry asks for a z that it has not: a warning, which would keep 0.5, and at most 0.49."""
    assert reported["delta_kl.kl"]["verdict"] == "warn"
    assert reported["delta_kl.kl"]["distinguishable"] is False
    assert reported["delta_kl.kl"]["score"] == 0.49

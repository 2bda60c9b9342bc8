"""adapter_ablation: the exponent of the divergence in the adapter's scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.arithmetic import spec
from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, PlainModel, mean_divergence
from tests.arithmetic.spec import PROMPTS

pytestmark = pytest.mark.nightly

LAMBDAS = np.array(spec.LAMBDAS)
FITTED = (LAMBDAS > 0) & (LAMBDAS <= 1)


def exponent(curves: np.ndarray) -> float:
    """Least-squares slope of log mean d on log λ, of curves by prompt."""
    return float(np.polyfit(np.log(LAMBDAS[FITTED]), np.log(curves.mean(0)[FITTED]), 1)[0])


@pytest.fixture(scope="module")
def curves(plain: PlainModel) -> np.ndarray:
    """d by prompt and λ, over four positions of the base's own continuation."""
    asked = [(plain.raw(prompt), plain.greedy(BASE, plain.raw(prompt), 3)) for prompt in PROMPTS]
    return np.array([[mean_divergence(plain, *one, scale=scale) for scale in LAMBDAS] for one in asked])


def test_curve(reported: dict[str, Any], curves: np.ndarray) -> None:
    found = reported["adapter_ablation"]["evidence"]["mean_divergence_per_lambda"]
    assert found == pytest.approx(curves.mean(0).tolist(), rel=1e-5, abs=1e-12)


def test_exponent(reported: dict[str, Any], curves: np.ndarray) -> None:
    assert reported["adapter_ablation"]["raw"] == equals(exponent(curves))


def test_interval(reported: dict[str, Any], curves: np.ndarray) -> None:
    """Student's t over Tukey's pseudo-values, n·p - (n - 1)·p without a prompt."""
    n = len(curves)
    without = np.array([exponent(np.delete(curves, at, axis=0)) for at in range(n)])
    pseudo = n * exponent(curves) - (n - 1) * without
    reach = stats.t.ppf(0.975, n - 1) * pseudo.std(ddof=1) / np.sqrt(n)
    expected = [pseudo.mean() - reach, pseudo.mean() + reach]
    assert reported["adapter_ablation"]["ci_95"] == equals(expected)


def test_names_of_schema_1(reported: dict[str, Any], curves: np.ndarray) -> None:
    """Linearity: R² of a straight line. Overshoot: d beyond full strength ÷ d at it."""
    found, d = reported["adapter_ablation"]["evidence"], curves.mean(0)
    assert found["linearity"] == equals(np.corrcoef(LAMBDAS, d)[0, 1] ** 2)
    assert found["overshoot"] == equals(d[-1] / d[LAMBDAS == 1].item())
    assert found["saturation_lambda"] == LAMBDAS[d >= 0.9 * d.max()].min()

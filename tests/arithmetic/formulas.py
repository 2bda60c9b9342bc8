"""The textbook formulas that more than one test needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

EXACT = 1e-5
"""How far a reported number may lie from the recomputed one, relative to it."""
NEAR_ZERO = 1e-6
"""The same in the number's unit, for differences that may be near zero."""


def equals(expected: Any, *, near_zero: bool = False) -> Any:
    """A number, or a list of them, equal to what was recomputed."""
    return pytest.approx(expected, rel=EXACT, abs=NEAR_ZERO if near_zero else 0)


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean."""
    x = np.asarray(values)
    reach = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean() - reach), float(x.mean() + reach)

"""Log-odds of tokens: the scale on which gains from different starting points compare.

A gain in nats is bounded by what the base had left to lose, so the gains of a text that the base half knew
and of one that it did not know cannot be subtracted. On the scale of log p - log(1 - p) there is no such
bound, and a step that shifts a token's logit, which is what learning to say it does, is as large from
everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

SUREST = 0.999
"""A token that is surer than this counts as this sure: what lies beyond is arithmetic, not knowledge."""
_FEWEST_NATS = -math.log(SUREST)


def log_odds(log_probabilities: ArrayLike) -> float:
    """Sum over tokens of log p - log(1 - p), each p at most :data:`SUREST`.

    Args:
        log_probabilities: of the tokens, in nats, shape ``[n]``.
    """
    nats = np.maximum(-np.asarray(log_probabilities, dtype=np.float64), _FEWEST_NATS)
    return float(np.sum(-nats - np.log(-np.expm1(-nats))))

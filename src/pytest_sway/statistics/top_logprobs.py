"""Divergences between distributions of which only the likeliest tokens are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_sway.statistics.divergences import Kind, divergence

_LEAST_REST = 1e-9
"""Probability of all other tokens where rounding leaves nothing."""


@dataclass(frozen=True)
class TopLogprobs:
    """The likeliest tokens of some positions.

    Attributes:
        ids: of the tokens, ``[positions, k]``, each once in a row, the likeliest first.
        nats: their log-probabilities, ``[positions, k]``.
    """

    ids: np.ndarray
    nats: np.ndarray


def lumped_divergence(kind: Kind, p: TopLogprobs, q: TopLogprobs) -> np.ndarray:
    """Divergence at each position over the tokens that both sides name, and one event for all others.

    By the data processing inequality it is a lower bound of the divergence over the whole vocabulary.

    Args:
        kind: ``js`` or ``kl`` (KL(p ‖ q)).
        p: one side.
        q: the other side, of the same positions.

    Returns:
        Nats, ``[positions]``.
    """
    return np.array([_at_position(kind, p, q, row) for row in range(len(p.ids))])


def _at_position(kind: Kind, p: TopLogprobs, q: TopLogprobs, row: int) -> float:
    _, ours, theirs = np.intersect1d(p.ids[row], q.ids[row], assume_unique=True, return_indices=True)
    sides = (_with_rest(p.nats[row][ours]), _with_rest(q.nats[row][theirs]))
    return float(divergence(np, kind, *sides))


def _with_rest(nats: np.ndarray) -> np.ndarray:
    """Log-probabilities of some tokens, in fp64, and of all others together."""
    exact = nats.astype(np.float64)
    return np.append(exact, np.log(max(1.0 - np.exp(exact).sum(), _LEAST_REST)))

"""Next-token distributions of dlm-sway's form, read by their attributes and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_sway.requests import RequestError
from pytest_sway.statistics.divergences import Kind, divergence
from pytest_sway.statistics.top_logprobs import TopLogprobs, lumped_divergence

_TOLERANCE = 1e-2
"""How far above 1 the probabilities may sum: they may be of 16 bits."""


@dataclass(frozen=True)
class NextTokens:
    """The distribution at one position.

    Attributes:
        top: the tokens that have a probability, the ids of a whole distribution in ascending order.
        is_whole: whether the vocabulary has no other token.
    """

    top: TopLogprobs
    is_whole: bool


def read_next_tokens(found: Any) -> NextTokens:
    """A ``TokenDist`` with ``token_ids``, ``logprobs`` and ``vocab_size``.

    It counts as whole where it names as many tokens as the vocabulary has. ``tail_logprob`` is not read: the
    probability of the other tokens is what is left of 1, and its 0.0 is both "nothing is left" and
    "probability 1". A token of probability 0 is as one that is not named.

    Raises:
        RequestError: it is no distribution.
    """
    try:
        ids = np.asarray(found.token_ids).astype(np.int64)
        nats = np.asarray(found.logprobs).astype(np.float64)
        vocabulary = int(found.vocab_size)
    except (AttributeError, TypeError, ValueError) as error:
        raise RequestError(
            f"next_token_dist returned {type(found).__name__}, which is no TokenDist: {error}"
        ) from error
    if ids.ndim != 1 or ids.shape != nats.shape or len(np.unique(ids)) != len(ids):
        raise RequestError(
            "next_token_dist: token_ids and logprobs must be lists of one length, and each id stand once"
        )
    if np.isnan(nats).any() or not np.exp(nats).sum() <= 1 + _TOLERANCE or not np.isfinite(nats).any():
        raise RequestError(
            f"next_token_dist: the probabilities sum to {np.exp(nats).sum():.4g}; logprobs must be finite "
            "natural logarithms of probabilities"
        )
    is_whole = len(ids) >= vocabulary
    order = np.argsort(ids) if is_whole else np.arange(len(ids))
    order = order[np.isfinite(nats[order])]
    return NextTokens(TopLogprobs(ids[order][None].astype(np.int32), nats[order][None]), is_whole)


def next_tokens_divergence(kind: Kind, p: NextTokens, q: NextTokens) -> float:
    """Divergence in nats; of distributions that are not whole, its lower bound over the tokens both name."""
    if p.is_whole and q.is_whole and np.array_equal(p.top.ids, q.top.ids):
        whole = divergence(np, kind, _normalised(p.top.nats), _normalised(q.top.nats))
        return float(whole[0])
    return float(lumped_divergence(kind, p.top, q.top)[0])


def _normalised(nats: np.ndarray) -> np.ndarray:
    normalised: np.ndarray = nats - np.logaddexp.reduce(nats, axis=-1, keepdims=True)
    return normalised

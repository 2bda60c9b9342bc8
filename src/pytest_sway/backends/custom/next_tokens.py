"""Next-token distributions of dlm-sway's form, read by their attributes and compared."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_sway.requests import RequestError
from pytest_sway.statistics.divergences import Kind, divergence
from pytest_sway.statistics.top_logprobs import TopLogprobs, lumped_divergence

_SUM_TOLERANCE = 1e-2
"""How far from 1 the probabilities may sum: they may be of 16 bits."""
_LEAST_NATS = -700.0
"""Stands for a probability of 0: its exponential, and that of its distance from 0, are finite in fp64."""


@dataclass(frozen=True)
class NextTokens:
    """The distribution at one position.

    Attributes:
        ids: token ids; of a whole distribution in ascending order, else the likeliest first.
        nats: their log-probabilities; -inf for a probability of 0.
        vocabulary: how many tokens there are.
    """

    ids: np.ndarray
    nats: np.ndarray
    vocabulary: int

    @property
    def is_whole(self) -> bool:
        """Whether every token of the vocabulary is named."""
        return len(self.ids) == self.vocabulary

    def top(self) -> TopLogprobs:
        """The tokens that have a probability, as one position."""
        has_probability = np.isfinite(self.nats)
        return TopLogprobs(self.ids[None, has_probability], self.nats[None, has_probability])


def read_next_tokens(token_dist: Any) -> NextTokens:
    """Read a ``TokenDist``: its ``token_ids``, ``logprobs`` and ``vocab_size``.

    ``tail_logprob`` is not read: the probability of the other tokens is what is left of 1, and a
    ``tail_logprob`` of 0.0 can mean that nothing is left, or a probability of 1.

    Raises:
        RequestError: it is no distribution.
    """
    try:
        ids = np.asarray(token_dist.token_ids)
        nats = np.asarray(token_dist.logprobs).astype(np.float64)
        vocabulary = operator.index(token_dist.vocab_size)
    except Exception as error:  # arrays of any library are converted here
        raise RequestError(
            f"next_token_dist returned token_ids, logprobs or vocab_size that cannot be read: {error}; "
            "return numpy arrays or lists, and an integer as vocab_size"
        ) from error
    _check_ids(ids, nats, vocabulary)
    _check_sum(nats, is_whole=len(ids) == vocabulary)
    order = np.argsort(ids if len(ids) == vocabulary else -nats, kind="stable")
    return NextTokens(ids[order], nats[order], vocabulary)


def next_tokens_divergence(kind: Kind, p: NextTokens, q: NextTokens) -> float:
    """Divergence in nats; of distributions that are not whole, its lower bound over the tokens both name.

    Raises:
        RequestError: the two have different vocabularies, or KL(p ‖ q) is infinite.
    """
    if p.vocabulary != q.vocabulary:
        raise RequestError(
            f"next_token_dist: vocab_size is {p.vocabulary} for one of the two compared models and "
            f"{q.vocabulary} for the other"
        )
    if p.is_whole and q.is_whole:
        return _whole_divergence(kind, _normalised(p.nats), _normalised(q.nats))
    return float(lumped_divergence(kind, p.top(), q.top())[0])


def _whole_divergence(kind: Kind, p: np.ndarray, q: np.ndarray) -> float:
    """Divergence over the whole vocabulary, in which tokens may have a probability of 0."""
    impossible = np.isneginf(q)
    if kind == "kl" and (infinite := np.flatnonzero(impossible & ~np.isneginf(p))).size:
        raise RequestError(
            f"the KL divergence is infinite: the probability of the token id {infinite[0]} is zero for only "
            "one of the two compared models; use the Jensen-Shannon divergence (divergence: js)"
        )
    return float(divergence(np, kind, np.maximum(p, _LEAST_NATS), np.where(impossible, _LEAST_NATS, q)))


def _check_ids(ids: np.ndarray, nats: np.ndarray, vocabulary: int) -> None:
    if ids.ndim != 1 or ids.shape != nats.shape or not len(ids):
        raise RequestError(
            "next_token_dist: token_ids and logprobs must be lists of the same length and not empty"
        )
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= vocabulary:
        raise RequestError(
            f"next_token_dist: token_ids must be integers from 0 to vocab_size - 1 ({vocabulary - 1})"
        )
    if len(np.unique(ids)) != len(ids):
        raise RequestError("next_token_dist: token_ids must be unique")


def _check_sum(nats: np.ndarray, *, is_whole: bool) -> None:
    with np.errstate(over="ignore"):
        total = float(np.exp(nats).sum())
    if not 0 < total <= 1 + _SUM_TOLERANCE or (is_whole and total < 1 - _SUM_TOLERANCE):
        raise RequestError(
            f"next_token_dist: the probabilities of {'all' if is_whole else 'the'} {len(nats)} tokens sum to "
            f"{total:.4g}; logprobs must be natural logarithms of probabilities"
        )


def _normalised(nats: np.ndarray) -> np.ndarray:
    normalised: np.ndarray = nats - np.logaddexp.reduce(nats)
    return normalised

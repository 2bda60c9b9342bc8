"""Distributions of dlm-sway's form: whole ones, of 16 bits, and arrays of other libraries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from pytest_sway.backends.custom.next_tokens import next_tokens_divergence, read_next_tokens
from pytest_sway.requests import RequestError
from pytest_sway.statistics.divergences import divergence
from tests.support.differential_model import TokenDist

P, Q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])


def tokens(probabilities: Any, ids: Any = None, vocabulary: Any = 3) -> Any:
    with np.errstate(divide="ignore"):
        nats = np.log(np.array(probabilities))
    ids = range(len(nats)) if ids is None else ids
    return read_next_tokens(TokenDist(ids, nats, vocabulary, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["js", "kl"])
def test_a_whole_distribution_whose_sum_is_rounded(kind: Any) -> None:
    """Of 16 bits; what is missing from 1 is no token. The order of the ids says nothing."""
    exact = float(divergence(np, kind, np.log(P), np.log(Q)))
    rounded = tokens(0.993 * P), tokens(1.005 * Q[::-1], (2, 1, 0))
    assert next_tokens_divergence(kind, *rounded) == pytest.approx(exact, rel=1e-9)
    assert next_tokens_divergence(kind, rounded[0], tokens(P)) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    ("p", "q", "js"),
    [
        ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], math.log(2)),
        ([0.5, 0.5, 0.0], [0.5, 0.0, 0.5], math.log(2) / 2),
        ([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], 0.0),
    ],
)
def test_tokens_of_probability_0_on_one_side(p: list[float], q: list[float], js: float) -> None:
    """They are not as tokens that are not named: what only one side has is the difference."""
    assert next_tokens_divergence("js", tokens(p), tokens(q)) == pytest.approx(js, abs=1e-12)


def test_kl_where_a_side_has_probability_0() -> None:
    p, q = tokens([0.5, 0.5, 0.0]), tokens([0.5, 0.25, 0.25])
    assert next_tokens_divergence("kl", p, q) == pytest.approx(0.5 * math.log(2))
    with pytest.raises(
        RequestError, match="the KL divergence is infinite: the probability of the token id 2 is zero"
    ):
        next_tokens_divergence("kl", q, p)


def test_a_part_of_the_vocabulary_is_compared_with_the_rest_as_one_event() -> None:
    part = tokens(P[:2], (0, 1), 1000), tokens(Q[:2], (0, 1), 1000)
    assert not part[0].is_whole
    exact = float(divergence(np, "js", np.log(P), np.log(Q)))  # the rest is the third token
    assert next_tokens_divergence("js", *part) == pytest.approx(exact)
    unnamed = tokens([*P[:2], 0.0], (0, 1, 7), 1000)
    assert next_tokens_divergence("js", unnamed, part[1]) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("probabilities", "ids", "vocabulary", "says"),
    [
        ([0.5**1.44, 0.25**1.44, 0.25**1.44], None, 3, "of all 3 tokens sum to 0.64"),  # log2, not ln
        ([0.1, 0.1, 0.1], None, 3, "of all 3 tokens sum to 0.3"),
        ([0.9, 0.9], None, 3, "of the 2 tokens sum to 1.8"),
        ([0.0, 0.0], None, 3, "sum to 0"),
        ([0.5, 0.5], None, 0, r"integers from 0 to vocab_size - 1 \(-1\)"),
        ([0.5, 0.5], (0, 500), 2, r"integers from 0 to vocab_size - 1 \(1\)"),
        ([0.5, 0.5], (0, -1), 2, "integers from 0"),
        ([0.5, 0.5], (0.0, 1.5), 2, "integers from 0"),
        ([0.5, 0.5], (1, 1), 2, "token_ids must be unique"),
        ([0.5, 0.5], (1,), 2, "lists of the same length"),
        ([0.5, 0.5], None, math.inf, "cannot be read: .* return numpy arrays or lists"),
        ([0.5, 0.5], None, None, "cannot be read"),
    ],
)
def test_what_is_no_distribution(probabilities: Any, ids: Any, vocabulary: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        tokens(probabilities, ids, vocabulary)


def test_views_of_different_vocabularies_are_not_compared() -> None:
    with pytest.raises(RequestError, match="vocab_size is 3 for one of the two compared models and 4 for"):
        next_tokens_divergence("js", tokens(P), tokens(P, vocabulary=4))


def test_arrays_of_torch_are_read() -> None:
    def token_dist(nats: torch.Tensor) -> Any:
        return TokenDist(torch.tensor([2, 5_000_000_000]), nats, 5_000_000_001, -0.7)  # type: ignore[arg-type]

    found = read_next_tokens(token_dist(torch.tensor([-2.0, -1.0])))
    assert found.ids.tolist() == [5_000_000_000, 2]  # the likeliest first
    assert found.nats.tolist() == [-1.0, -2.0]
    with pytest.raises(RequestError, match=r"requires grad.*; return numpy arrays or lists"):
        read_next_tokens(token_dist(torch.tensor([-1.0, -2.0], requires_grad=True)))

"""Distributions of dlm-sway's form: whole ones, of 16 bits, and arrays of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pytest_sway.backends.custom.next_tokens import next_tokens_divergence, read_next_tokens
from pytest_sway.statistics.divergences import divergence
from tests.support.differential_model import TokenDist

P, Q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])


def tokens(probabilities: np.ndarray, ids: Any = (0, 1, 2), vocabulary: int = 3) -> Any:
    return read_next_tokens(TokenDist(ids, np.log(probabilities), vocabulary, None))


@pytest.mark.parametrize("kind", ["js", "kl"])
def test_a_whole_distribution_whose_sum_is_rounded(kind: Any) -> None:
    """Of 16 bits; what is missing from 1 is no token. The order of the ids says nothing."""
    exact = float(divergence(np, kind, np.log(P), np.log(Q)))
    rounded = tokens(0.993 * P), tokens(1.005 * Q[::-1], (2, 1, 0))
    assert next_tokens_divergence(kind, *rounded) == pytest.approx(exact, rel=1e-9)
    assert next_tokens_divergence(kind, rounded[0], tokens(P)) == pytest.approx(0.0, abs=1e-15)


def test_a_part_of_the_vocabulary_is_compared_with_the_rest_as_one_event() -> None:
    part = tokens(P[:2], (0, 1), 1000), tokens(Q[:2], (0, 1), 1000)
    assert not part[0].is_whole
    exact = float(divergence(np, "js", np.log(P), np.log(Q)))  # the rest is the third token
    assert next_tokens_divergence("js", *part) == pytest.approx(exact)


def test_arrays_of_torch_are_read() -> None:
    found = TokenDist(torch.tensor([2, 0]), torch.tensor([-1.0, -2.0]), 9, -0.7)  # type: ignore[arg-type]
    assert read_next_tokens(found).top.ids.tolist() == [[2, 0]]

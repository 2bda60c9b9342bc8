"""Divergences of distributions of which only the likeliest tokens are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.statistics.divergences import divergence
from pytest_sway.statistics.top_logprobs import TopLogprobs, lumped_divergence

seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["js", "kl"])


def distributions(seed: int, width: int, spread: float) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((3, width)) * spread
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def top(nats: np.ndarray, k: int) -> TopLogprobs:
    ids = np.argsort(-nats, axis=1)[:, :k]
    return TopLogprobs(ids, np.take_along_axis(nats, ids, axis=1).astype(np.float32))


@given(seeds, seeds, kinds, st.integers(1, 30), st.floats(0.1, 4))
def test_it_is_a_lower_bound(one: int, other: int, kind: str, k: int, spread: float) -> None:
    p, q = distributions(one, 30, spread), distributions(other, 30, spread)
    lumped = lumped_divergence(kind, top(p, k), top(q, k))
    assert (lumped <= divergence(np, kind, p, q) + 1e-5).all()
    assert (lumped >= 0).all()


@given(seeds, seeds, kinds)
def test_of_all_tokens_it_is_the_divergence(one: int, other: int, kind: str) -> None:
    p, q = distributions(one, 20, 1.0), distributions(other, 20, 1.0)
    whole = lumped_divergence(kind, top(p, 20), top(q, 20))
    assert whole == pytest.approx(divergence(np, kind, p, q), abs=1e-5)


@given(seeds, kinds, st.integers(1, 20))
def test_equal_sides_are_exactly_0(seed: int, kind: str, k: int) -> None:
    side = top(distributions(seed, 20, 2.0), k)
    assert lumped_divergence(kind, side, side).tolist() == [0.0] * 3


def test_more_tokens_tell_more() -> None:
    p, q = distributions(1, 200, 1.5), distributions(2, 200, 1.5)
    by_k = [lumped_divergence("js", top(p, k), top(q, k)).mean() for k in (20, 100, 150, 200)]
    assert by_k == sorted(by_k)


def test_tokens_are_told_apart_by_their_ids() -> None:
    """Two sides as sure of different tokens: by ranks they would be equal."""
    nats = np.log(np.array([[0.9, 0.05]], np.float32))
    p, q = TopLogprobs(np.array([[1, 2]]), nats), TopLogprobs(np.array([[2, 1]]), nats)
    assert lumped_divergence("js", p, q)[0] > 0.4

"""Divergences: exactly zero for equals, right against scipy in fp64, in numpy and in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, rel_entr

from pytest_sway.statistics import divergences
from pytest_sway.statistics.divergences import (
    divergence,
    divergence_sum,
    jensen_shannon,
    kullback_leibler,
)

logits = arrays(np.float64, (3, 17), elements=st.floats(-12, 12))


def reference_js(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    p, q = np.exp(log_p), np.exp(log_q)
    m = (p + q) / 2
    return 0.5 * rel_entr(p, m).sum(-1) + 0.5 * rel_entr(q, m).sum(-1)


@given(logits, logits)
def test_js_is_the_textbook_value(a: np.ndarray, b: np.ndarray) -> None:
    p, q = log_softmax(a, -1), log_softmax(b, -1)
    np.testing.assert_allclose(jensen_shannon(np, p, q), reference_js(p, q), atol=1e-12)


@given(logits, logits)
def test_kl_is_the_textbook_value(a: np.ndarray, b: np.ndarray) -> None:
    p, q = log_softmax(a, -1), log_softmax(b, -1)
    expected = rel_entr(np.exp(p), np.exp(q)).sum(-1)
    np.testing.assert_allclose(kullback_leibler(np, p, q), expected, rtol=1e-9, atol=1e-11)


@given(logits, logits)
def test_js_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    p, q = log_softmax(a, -1), log_softmax(b, -1)
    value = jensen_shannon(np, p, q)
    np.testing.assert_allclose(value, jensen_shannon(np, q, p), atol=1e-15)
    assert (value >= -1e-16).all()
    assert (value <= np.log(2) + 1e-12).all()


@pytest.mark.parametrize("kind", ["js", "kl"])
@given(logits)
def test_equal_inputs_give_exactly_zero_in_fp32(kind: str, a: np.ndarray) -> None:
    p = torch.tensor(a, dtype=torch.float32).log_softmax(-1)
    assert divergence(torch, kind, p, p.clone()).abs().max() == 0.0  # type: ignore[arg-type]


def test_fp32_stays_true_where_the_textbook_form_drowns() -> None:
    """A gentle adapter's JS, 1e-9 nats over 32,000 tokens: the textbook form in fp32 is off by more."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=32_000) * 3
    b = a + rng.normal(size=32_000) * 1e-4
    p, q = log_softmax(a), log_softmax(b)
    true_value = reference_js(p, q)
    p32, q32 = (torch.tensor(x, dtype=torch.float32) for x in (p, q))
    ours = float(jensen_shannon(torch, p32, q32))
    m = torch.logaddexp(p32, q32) - np.log(2)
    textbook = float(0.5 * (p32.exp() * (p32 - m)).sum() + 0.5 * (q32.exp() * (q32 - m)).sum())
    assert abs(ours - true_value) < 1e-11
    assert abs(textbook - true_value) > 100 * abs(ours - true_value)


@given(logits, logits)
def test_the_kind_is_the_one_that_was_asked_for(a: np.ndarray, b: np.ndarray) -> None:
    p, q = log_softmax(a, -1), log_softmax(b, -1)
    np.testing.assert_array_equal(divergence(np, "js", p, q), jensen_shannon(np, p, q))
    np.testing.assert_array_equal(divergence(np, "kl", p, q), kullback_leibler(np, p, q))


def test_the_last_axis_is_the_vocabulary() -> None:
    p = log_softmax(np.random.default_rng(0).normal(size=(2, 3, 5)), -1)
    assert kullback_leibler(np, p, p).shape == jensen_shannon(np, p, p).shape == (2, 3)


@pytest.mark.parametrize("kind", ["js", "kl"])
@pytest.mark.parametrize("positions", [1, 7, 8, 9])
def test_a_sum_over_positions_is_taken_in_slices(
    monkeypatch: pytest.MonkeyPatch, kind: divergences.Kind, positions: int
) -> None:
    vocabulary, rows = 50, 4
    p, q = torch.randn(2, positions, vocabulary, dtype=torch.float64).log_softmax(-1)
    expected = float(divergence(torch, kind, p, q).sum())
    computed = []

    def counted(xp: object, kind: divergences.Kind, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        computed.append(len(log_p))
        return torch.as_tensor(divergence(xp, kind, log_p, log_q))

    monkeypatch.setattr(divergences, "_SLICE_BYTES", rows * 4 * vocabulary)
    monkeypatch.setattr(divergences, "divergence", counted)
    assert divergence_sum(torch, kind, p, q) == pytest.approx(expected, rel=1e-12)
    assert sum(computed) == positions
    assert max(computed) <= rows

"""The numerical noise floor: what a model's arithmetic cannot tell from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.requests import View
from pytest_sway.statistics.divergences import divergence
from pytest_sway.token_sequences import PackedRow, TokenSequence


class NoiseFloor(NamedTuple):
    """What the arithmetic cannot tell from 0, in nats: of a divergence, of a token's log-probability."""

    divergence: float = 0.0
    logprob: float = 0.0


def noise_floor(backend: WeightsBackend, base: View, *, batch_invariant: bool) -> NoiseFloor:
    """How far one text is from itself in two batch shapes.

    Args:
        backend: scores the text.
        base: the view that scores it.
        batch_invariant: whether every text is scored by itself, so that there is one shape only.
    """
    floor = NoiseFloor(backend.epsilon**2, backend.epsilon)
    if batch_invariant:
        return floor
    text = TokenSequence(tuple((37 * k) % backend.vocabulary for k in range(1, 25)), 0)
    short = [TokenSequence(text.ids[:n], 0) for n in (5, 6, 7)]
    apart = _scored_first(backend, base, [text])
    crowded = _scored_first(backend, base, [text, *short])
    moved = [float(divergence(backend.xp, kind, apart, crowded).max()) for kind in ("js", "kl")]
    label = int(apart[0].argmax())
    tokens = float(abs(apart[:, label] - crowded[:, label]).max())
    return NoiseFloor(max(*moved, floor.divergence), max(tokens, floor.logprob))


def _scored_first(backend: WeightsBackend, view: View, texts: Sequence[TokenSequence]) -> Any:
    """The first text's log-probabilities in a batch of all of them."""
    pieces = backend.logprobs([PackedRow((text,)) for text in texts], view, texts[0].positions)
    return next(piece for text, _, piece in pieces if text == texts[0])

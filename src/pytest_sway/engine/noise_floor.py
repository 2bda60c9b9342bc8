"""The numerical noise floor: what a model's arithmetic cannot tell from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pytest_sway.backends.base import TokenizingBackend, WeightsBackend
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
    if batch_invariant:
        return least_floor(backend)
    text, *short = trial_texts(backend)
    apart = _scored_first(backend, base, [text])
    crowded = _scored_first(backend, base, [text, *short])
    return floor_between(backend.xp, apart, crowded, least_floor(backend))


def least_floor(backend: TokenizingBackend) -> NoiseFloor:
    """What no arithmetic of this precision can tell from 0."""
    return NoiseFloor(backend.epsilon**2, backend.epsilon)


def trial_texts(backend: TokenizingBackend) -> list[TokenSequence]:
    """The text that is scored alone and crowded, and those that crowd it."""
    text = TokenSequence(tuple((37 * k) % backend.vocabulary for k in range(1, 25)), 0)
    return [text, *(TokenSequence(text.ids[:n], 0) for n in (5, 6, 7))]


def floor_between(xp: Any, alone: Any, crowded: Any, least: NoiseFloor) -> NoiseFloor:
    """How far one text's log-probabilities ``[positions, vocabulary]`` moved; ``least`` at least."""
    moved = [float(divergence(xp, kind, alone, crowded).max()) for kind in ("js", "kl")]
    likeliest = int(alone[0].argmax())
    tokens = float(abs(alone[:, likeliest] - crowded[:, likeliest]).max())
    return NoiseFloor(max(*moved, least.divergence), max(tokens, least.logprob))


def _scored_first(backend: WeightsBackend, view: View, texts: Sequence[TokenSequence]) -> Any:
    """The first text's log-probabilities in a batch of all of them."""
    pieces = backend.logprobs([PackedRow((text,)) for text in texts], view, texts[0].positions)
    return next(piece for text, _, piece in pieces if text == texts[0])

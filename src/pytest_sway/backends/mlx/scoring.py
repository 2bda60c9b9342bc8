"""Next-token distributions of a batch: the trunk once, the head at the wanted positions alone.

Batches are padded on the right: attention is causal, so no token sees the padding. The attention of mlx-lm's
models takes no positions, so texts that share a beginning cannot be packed into one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn

from pytest_sway.backends.hf.deferred_signals import deferred_signals
from pytest_sway.token_sequences import PackedRow

LEAST = 16
"""Batches of fewer tokens, and heads over fewer positions, are filled up: below that a matrix product takes
another kernel, whose rounding differs."""


class Batch(NamedTuple):
    """Rows as arrays.

    Attributes:
        ids: token ids, ``[rows, longest]``, padded on the right.
        wanted: the wanted positions of all texts, one text after another, as indices into the flattened
            batch.
    """

    ids: mx.array
    wanted: mx.array


def batch_of(rows: Sequence[PackedRow]) -> Batch:
    """Rows of texts that begin one another; a batch of very few tokens is filled up with its first row."""
    longest = max(row.length for row in rows)
    texts = [max(row.texts, key=lambda text: len(text.ids)).ids for row in rows]
    padded = [[*ids, *([0] * (longest - len(ids)))] for ids in texts]
    if longest < LEAST:
        padded += [padded[0]] * (-(-LEAST // longest) - len(rows))
    wanted = [
        i * longest + place
        for i, row in enumerate(rows)
        for text in row.texts
        for place in range(text.first, len(text.ids))
    ]
    return Batch(mx.array(padded), mx.array(wanted))


class Scorer:
    """Scores batches with whatever layers are in force in the model."""

    def __init__(self, model: nn.Module, check_row: Sequence[int]) -> None:
        self._model = model
        self._trunk = self._find_trunk(mx.array([check_row]))

    def hidden(self, batch: Batch) -> mx.array:
        """What the head reads at every wanted position, ``[positions, width]``; computed, not promised."""
        found: mx.array = (self._model if self._trunk is None else self._trunk)(batch.ids)
        chosen = found.reshape(-1, found.shape[-1])[batch.wanted]
        mx.eval(chosen)
        return chosen

    def logprobs(self, hidden: mx.array) -> mx.array:
        """fp32 log-probabilities, ``[positions, vocabulary]``, of what :meth:`hidden` gave."""
        logits = self._logits(hidden).astype(mx.float32)
        scored = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        mx.eval(scored)
        return scored

    def _logits(self, hidden: mx.array) -> mx.array:
        if self._trunk is None:
            return hidden
        count = hidden.shape[0]
        if count < LEAST:
            hidden = mx.concatenate([hidden, mx.repeat(hidden[:1], LEAST - count, axis=0)])
        with _answering(self._trunk, hidden[None]):
            logits: mx.array = self._model(mx.zeros((1, hidden.shape[0]), dtype=mx.int32))[0]
        return logits[:count]

    def _find_trunk(self, ids: mx.array) -> Any:
        """The model below its head, if the head can be run apart from it; else None."""
        trunk = getattr(self._model, "model", None)
        if not isinstance(trunk, nn.Module):
            return None
        try:
            whole = self._model(ids)
            answer = trunk(ids)
            with _answering(trunk, answer):  # other ids: only the trunk's answer may tell
                apart = self._model(mx.zeros_like(ids))
        except Exception:
            return None
        return trunk if bool(mx.array_equal(whole, apart)) else None


@contextmanager
def _answering(trunk: nn.Module, answer: mx.array) -> Iterator[None]:
    """While it lasts, the trunk answers this, whatever it is asked."""
    own = type(trunk)

    def call(*_: Any, **__: Any) -> mx.array:
        return answer

    with deferred_signals():  # a trunk left like this would answer every text alike
        trunk.__class__ = type(own.__name__, (own,), {"__call__": call})
        try:
            yield
        finally:
            trunk.__class__ = own

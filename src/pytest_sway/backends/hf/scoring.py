"""Next-token distributions of a batch: the trunk once, the head at the wanted positions alone.

The head is the model's own code (its soft-capping or scaling included): its forward is run with the
trunk's answer put in the trunk's place. Where a model cannot be taken apart like that, its whole forward
is run and the wanted logits are picked.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from pytest_sway.backends.hf.deferred_signals import deferred_signals
from pytest_sway.token_sequences import PackedRow, TokenSequence

LEAST = 16
"""Batches of fewer tokens, and heads over fewer positions, are filled up: below about eight a matrix product
takes another kernel, whose rounding differs (measured: 1e-5 nats in fp32; none from eight tokens on)."""


class Batch(NamedTuple):
    """Rows as tensors.

    Attributes:
        ids: token ids, ``[rows, longest]``, padded on the right: no token sees the padding.
        positions: position of each token in its own text, where rows have branches; else None.
        ends: where the tokens that continue each token end, as an index into its row, ``[rows, longest]``,
            where rows have branches; else None. A token is seen by those from its own place up to there.
        wanted: for each text its wanted positions, as indices into the flattened batch.
    """

    ids: torch.Tensor
    positions: torch.Tensor | None
    ends: torch.Tensor | None
    wanted: list[tuple[TokenSequence, torch.Tensor]]


def batch_of(rows: Sequence[PackedRow], device: torch.device) -> Batch:
    """Rows as tensors; a batch of very few tokens is filled up with copies of its first row."""
    longest = max(row.length for row in rows)
    height = max(len(rows), -(-LEAST // longest)) if longest < LEAST else len(rows)
    ids = torch.zeros(height, longest, dtype=torch.long)
    positions = torch.zeros_like(ids)  # of padding too: a place that the model knows
    ends = torch.full_like(ids, longest)
    wanted = []
    for i, row in enumerate(rows):
        path = torch.zeros(0, dtype=torch.long)  # where the tokens of a text stand in the row
        at = 0
        for text, shared in zip(row.texts, row.shared, strict=True):
            end = at + len(text.ids) - shared
            ids[i, at:end] = torch.tensor(text.ids[shared:], dtype=torch.long)
            positions[i, at:end] = torch.arange(shared, len(text.ids))
            ends[i, path[shared:]] = at  # this text does not continue them, and no later one will
            path = torch.cat([path[:shared], torch.arange(at, end)])
            wanted.append((text, i * longest + path[text.first :]))
            at = end
    for i in range(len(rows), height):
        ids[i], positions[i], ends[i] = ids[0], positions[0], ends[0]
    if not any(row.has_branches for row in rows):
        return Batch(ids.to(device), None, None, wanted)
    return Batch(ids.to(device), positions.to(device), ends.to(device), wanted)


class Scorer:
    """Scores batches with whatever weights are in force in the model.

    Attributes:
        trunk: the model below its head; None where the head cannot be run apart from it.
        packs_rows: whether every text of a tree of tokens is scored as if by itself.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._trunk_output: Any = None
        self.trunk = self._find_trunk()
        self.packs_rows = self._can_pack_rows()

    def hidden(self, batch: Batch) -> torch.Tensor:
        """What the head reads at every wanted position, ``[positions, width]``, texts one after another."""
        where = torch.cat([places for _, places in batch.wanted])
        source = self._model if self.trunk is None else self.trunk
        extra = {}
        if batch.ends is not None:
            extra = {"attention_mask": self._additive_mask(batch.ends), "position_ids": batch.positions}
        found = source(input_ids=batch.ids, use_cache=False, **extra)[0]
        flat: torch.Tensor = found.reshape(-1, found.shape[-1])[where.to(found.device)]
        return flat

    def logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        """fp32 log-probabilities, ``[positions, vocabulary]``, of what :meth:`hidden` gave."""
        return self._logits(hidden).float().log_softmax(-1)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.trunk is None:
            return hidden
        short = LEAST - len(hidden)
        filled = torch.cat([hidden, hidden[:1].expand(short, -1)]) if short > 0 else hidden
        with _trunk_replaced(self.trunk, self._trunk_output, filled[None]):
            ids = torch.zeros(1, len(filled), dtype=torch.long, device=hidden.device)
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits[0]
        return logits[: len(hidden)]

    def _additive_mask(self, ends: torch.Tensor) -> torch.Tensor:
        """Which token sees which, as what is added to attention scores: every kind of attention takes it.

        ``[rows, 1, longest, longest]``, in the model's dtype: 0 where a token sees another.
        """
        place = torch.arange(ends.shape[1], device=ends.device)
        unseen = (place[None, :] > place[:, None]) | (place[:, None] >= ends[:, None, None, :])
        dtype = self._model.dtype
        seen_by_all = torch.zeros(unseen.shape, dtype=dtype, device=ends.device)
        return seen_by_all.masked_fill_(unseen, torch.finfo(dtype).min)

    def _find_trunk(self) -> Any:
        """The model below its head, if the head can be run apart from it; else None."""
        trunk = getattr(self._model, "base_model", None)
        if trunk is None or trunk is self._model:
            return None
        ids = torch.arange(1, LEAST + 1, device=self._model.device)[None] % _vocabulary(self._model)
        try:
            with torch.inference_mode():
                whole = self._model(input_ids=ids, use_cache=False).logits
                self._trunk_output = trunk(input_ids=ids, use_cache=False)
                # other ids: only the trunk's output may tell
                with _trunk_replaced(trunk, self._trunk_output, self._trunk_output[0]):
                    apart = self._model(input_ids=torch.zeros_like(ids), use_cache=False).logits
        except Exception:
            return None
        return trunk if torch.equal(whole, apart) else None

    def _can_pack_rows(self) -> bool:
        """Whether every text of a tree is scored as if by itself.

        Tried out on a tree with branches below a branch, with a counter-proof: with a mask that lets texts
        see each other the numbers of each must be far worse. A window cannot be tried out on a short row, so
        a model that has one keeps to itself.
        """
        config = self._model.config.get_text_config()
        attention = getattr(config, "_attn_implementation", None)
        if self.trunk is None or attention not in ("sdpa", "eager") or _has_local_attention(config):
            return False
        common, other = (tuple((n * k) % _vocabulary(self._model) for k in range(1, 21)) for n in (37, 53))
        tails = (2, 7), (2, 7, 6, 4), (5, 9, 3, 8), (5, 9, 8, 2)
        texts = [TokenSequence((*common, *tail), len(common) + len(tail) - 2) for tail in tails]
        texts.append(TokenSequence(other, len(other) - 2))
        together = batch_of([PackedRow(tuple(texts))], self._model.device)
        all_seen = torch.full_like(together.ids, together.ids.shape[1])
        try:
            with torch.inference_mode():
                apart = self._score(batch_of([PackedRow((text,)) for text in texts], self._model.device))
                right = self._score(together)
                wrong = self._score(together._replace(ends=all_seen))
        except Exception:
            return False
        per_text = (len(texts), -1)  # two positions of each
        off, wrong_off = ((scored - apart).abs().reshape(per_text).amax(1) for scored in (right, wrong))
        first_path = 2  # texts that have no other text before them
        allowed = min(1000 * torch.finfo(self._model.dtype).eps, 0.1)
        noticed = 4 * off[first_path:] < wrong_off[first_path:]
        return bool((off <= allowed).all() and noticed.all())

    def _score(self, batch: Batch) -> torch.Tensor:
        return self.logprobs(self.hidden(batch))


_LOCAL = ("sliding_window", "window_size", "attention_chunk_size", "attention_types", "attention_layers")
"""Config fields that limit how far back a token sees."""


def _has_local_attention(config: Any) -> bool:
    """Whether some layer sees less than the whole text, or its positions depend on the longest text."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if "dynamic" in str(rope) or "longrope" in str(rope):
        return True
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds) != {"full_attention"}
    return any(getattr(config, name, None) for name in _LOCAL)


@contextmanager
def _trunk_replaced(trunk: Any, answer: Any, hidden: torch.Tensor) -> Iterator[None]:
    """While it lasts, the trunk answers like ``answer``, with ``hidden``, whatever it is asked."""
    replaced = copy.copy(answer)
    if isinstance(replaced, tuple):
        replaced = (hidden, *replaced[1:])
    else:
        replaced["last_hidden_state"] = hidden

    def forward(*_: Any, **__: Any) -> Any:
        return replaced

    before = vars(trunk).get("forward")  # some libraries set one on the instance
    with deferred_signals():  # a trunk left like this would answer every text alike
        trunk.forward = forward
        try:
            yield
        finally:
            del trunk.forward
            if before is not None:
                trunk.forward = before


def _vocabulary(model: Any) -> int:
    return int(model.config.get_text_config().vocab_size)

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
        positions: position of each token in its own text, where rows hold several; else None.
        mask: which token sees which, ``[rows, 1, longest, longest]``, where rows hold several; else None.
        wanted: for each text its wanted positions, as indices into the flattened batch.
    """

    ids: torch.Tensor
    positions: torch.Tensor | None
    mask: torch.Tensor | None
    wanted: list[tuple[TokenSequence, torch.Tensor]]


def batch_of(rows: Sequence[PackedRow], device: torch.device) -> Batch:
    """Rows as tensors; a batch of very few tokens is filled up with copies of its first row."""
    longest = max(row.length for row in rows)
    height = max(len(rows), -(-LEAST // longest)) if longest < LEAST else len(rows)
    ids = torch.zeros(height, longest, dtype=torch.long)
    several = any(len(row.texts) > 1 for row in rows)
    positions = torch.zeros_like(ids)  # of padding too: a place that the model knows
    mask = _causal_mask(ids) if several else None
    wanted = []
    for i, row in enumerate(rows):
        ids[i, : row.shared] = torch.tensor(row.texts[0].ids[: row.shared], dtype=torch.long)
        positions[i, : row.shared] = torch.arange(row.shared)
        at = row.shared
        for text in row.texts:
            end = at + len(text.ids) - row.shared
            ids[i, at:end] = torch.tensor(text.ids[row.shared :], dtype=torch.long)
            positions[i, at:end] = torch.arange(row.shared, len(text.ids))
            if mask is not None:
                mask[i, 0, at:end, row.shared : at] = False
            places = [k if k < row.shared else at + k - row.shared for k in range(text.first, len(text.ids))]
            wanted.append((text, i * longest + torch.tensor(places, dtype=torch.long)))
            at = end
    for i in range(len(rows), height):
        ids[i] = ids[0]
    if mask is None:
        return Batch(ids.to(device), None, None, wanted)
    return Batch(ids.to(device), positions.to(device), mask.to(device), wanted)


class Scorer:
    """Scores batches with whatever weights are in force in the model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._trunk_output: Any = None
        self._trunk = self._find_trunk()
        self.packs_rows = self._can_pack_rows()

    def hidden(self, batch: Batch) -> torch.Tensor:
        """What the head reads at every wanted position, ``[positions, width]``, texts one after another."""
        where = torch.cat([places for _, places in batch.wanted])
        source = self._model if self._trunk is None else self._trunk
        extra = {}
        if batch.mask is not None:
            extra = {"attention_mask": self._additive_mask(batch.mask), "position_ids": batch.positions}
        found = source(input_ids=batch.ids, use_cache=False, **extra)[0]
        flat: torch.Tensor = found.reshape(-1, found.shape[-1])[where.to(found.device)]
        return flat

    def logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        """fp32 log-probabilities, ``[positions, vocabulary]``, of what :meth:`hidden` gave."""
        return self._logits(hidden).float().log_softmax(-1)

    def pieces(self, batch: Batch, most: int) -> Iterator[tuple[list[tuple[TokenSequence, int, int]], slice]]:
        """Which positions to score together: of each text which and how many, and where they stand."""
        group: list[tuple[TokenSequence, int, int]] = []
        begin = end = 0
        for text, places in batch.wanted:
            done = 0
            while done < len(places):
                count = min(len(places) - done, most - (end - begin))
                group.append((text, done, count))
                done, end = done + count, end + count
                if end - begin == most:
                    yield group, slice(begin, end)
                    group, begin = [], end
        if group:
            yield group, slice(begin, end)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._trunk is None:
            return hidden
        short = LEAST - len(hidden)
        filled = torch.cat([hidden, hidden[:1].expand(short, -1)]) if short > 0 else hidden
        with _trunk_replaced(self._trunk, self._trunk_output, filled[None]):
            ids = torch.zeros(1, len(filled), dtype=torch.long, device=hidden.device)
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits[0]
        return logits[: len(hidden)]

    def _additive_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """The mask as what is added to attention scores, which every implementation of attention takes."""
        dtype = self._model.dtype
        open_to_all = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        return open_to_all.masked_fill(~mask, torch.finfo(dtype).min)

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
        """Whether a text beside another one, and behind a common beginning, is scored as if by itself.

        Tried out, with a counter-proof: with a mask that lets texts see each other the numbers must be far
        worse. A window cannot be tried out on a short row, so a model that has one keeps to itself.
        """
        config = self._model.config.get_text_config()
        attention = getattr(config, "_attn_implementation", None)
        if self._trunk is None or attention not in ("sdpa", "eager") or _has_local_attention(config):
            return False
        common = [(37 * k) % _vocabulary(self._model) for k in range(1, 21)]
        texts = TokenSequence((*common, 5, 9, 3), 18), TokenSequence((*common, 8, 2), 18)
        together = [batch_of([PackedRow(texts, shared)], self._model.device) for shared in (len(common), 0)]
        try:
            with torch.inference_mode():
                apart = self._score(batch_of([PackedRow((text,)) for text in texts], self._model.device))
                right = [self._score(batch) for batch in together]
                wrong = [self._score(batch._replace(mask=_causal_mask(batch.ids))) for batch in together]
        except Exception:
            return False
        off, wrong_off = (
            [float((scored - apart).abs().max()) for scored in tried] for tried in (right, wrong)
        )
        allowed = min(1000 * torch.finfo(self._model.dtype).eps, 0.1)
        return all(x <= allowed and 4 * x < y for x, y in zip(off, wrong_off, strict=True))

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


def _causal_mask(ids: torch.Tensor) -> torch.Tensor:
    """Every token sees all before it, of whatever text: ``[rows, 1, longest, longest]``."""
    longest = ids.shape[1]
    return torch.ones(longest, longest, dtype=torch.bool, device=ids.device).tril().repeat(len(ids), 1, 1, 1)


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

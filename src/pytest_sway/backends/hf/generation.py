"""Greedy continuations of a batch: padding before them, ends after them; rows that ended are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

CHUNK = 16
"""Tokens after which the rows that have ended leave a batch."""


def continuations(
    model: Any,
    rows: Sequence[Sequence[int]],
    stops: set[int],
    max_new_tokens: int,
    use_rows: Callable[[Sequence[int]], None],
) -> list[tuple[int, ...]]:
    """Greedy continuations, each cut before its first token among ``stops``.

    Args:
        model: its ``generation_config`` asks for neither sampling nor penalties.
        rows: token ids of the prompts.
        stops: tokens that end a text.
        max_new_tokens: most tokens of a continuation.
        use_rows: is called with the indices of the rows that the next forwards run over.
    """
    ids, mask = left_padded(rows, model.generation_config.pad_token_id)
    ids, mask = ids.to(model.device), mask.to(model.device)
    written: list[list[int]] = [[] for _ in rows]
    running, left = list(range(len(rows))), max_new_tokens
    cache: dict[str, Any] | None = {}  # None where it cannot be cut; then the batch stays as it is
    while running and left:
        use_rows(running)
        count = left if cache is None or len(running) == 1 else min(left, CHUNK)
        extended, cache = _extended(model, ids, mask, cache or {}, stops, count)
        new = extended[:, ids.shape[1] :]
        for row, tokens in zip(running, new.tolist(), strict=True):
            written[row] += tokens
        left -= count
        going = [k for k, row in enumerate(running) if stops.isdisjoint(written[row])]
        kept = torch.tensor(going, dtype=torch.long, device=ids.device)
        ids, mask = extended[kept], torch.cat([mask, torch.ones_like(new)], dim=1)[kept]
        if cache is not None and left and 0 < len(going) < len(running):
            for held in cache.values():
                held.batch_select_indices(kept)
        running = [running[k] for k in going]
    return [cut_at_end(tokens, stops) for tokens in written]


def _extended(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: dict[str, Any], stops: set[int], count: int
) -> tuple[torch.Tensor, dict[str, Any] | None]:
    """Rows with at most ``count`` tokens more, and their keys and values under the name of the argument.

    The name differs between versions of transformers; None where rows cannot be taken out of what there is.
    """
    found = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=sorted(stops) or None,
        return_dict_in_generate=True,
        **cache,
    )
    name = next((name for name in ("cache", "past_key_values") if name in found), "")
    held = found[name] if name else None
    layers = getattr(held, "layers", None) or [None]
    can_be_cut = all(hasattr(layer, "batch_select_indices") for layer in layers)
    return found.sequences, {name: held} if can_be_cut else None


def left_padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, ``[rows, longest]``, padded on the left with the token ``pad``."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[i, longest - len(row) :] = 1
    return ids, mask


def cut_at_end(ids: Sequence[int], ends: set[int]) -> tuple[int, ...]:
    """The tokens before the first one that ends a text."""
    for index, token in enumerate(ids):
        if token in ends:
            return tuple(ids[:index])
    return tuple(ids)

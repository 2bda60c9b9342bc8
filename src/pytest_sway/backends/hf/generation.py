"""Greedy continuations of a batch: padding before them, ends after them; rows that ended are left out.

What all prompts of a batch begin with, as a system prompt, is read once for each view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pytest_sway.requests import View
from pytest_sway.token_sequences import prefix_of_prompts

CHUNK = 16
"""Tokens after which the rows that have ended leave a batch."""


def continuations(
    model: Any,
    rows: Sequence[Sequence[int]],
    views: Sequence[View],
    stops: set[int],
    max_new_tokens: int,
    use_views: Callable[[Sequence[View]], None],
    trunk: Any = None,
) -> list[tuple[int, ...]]:
    """Greedy continuations, each cut before its first token among ``stops``.

    Args:
        model: its ``generation_config`` asks for neither sampling nor penalties.
        rows: token ids of the prompts.
        views: the view of each row.
        stops: tokens that end a text.
        max_new_tokens: most tokens of a continuation.
        use_views: is called with the views of the rows that the next forwards run over.
        trunk: the model without its head, if it may read what the rows begin with by itself.
    """
    prefix = prefix_of_prompts(rows, len(set(views))) if trunk is not None else 0
    ids, mask = padded(rows, prefix, model.generation_config.pad_token_id)
    ids, mask = ids.to(model.device), mask.to(model.device)
    written: list[list[int]] = [[] for _ in rows]
    running, left = list(range(len(rows))), max_new_tokens
    # None where it cannot be cut; then the batch stays as it is
    cache: dict[str, Any] | None = _read_once(trunk, ids[:, :prefix], views, use_views) if prefix else {}
    while running and left:
        use_views([views[row] for row in running])
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
            _keep_rows(cache, kept)
        running = [running[k] for k in going]
    return [cut_at_end(tokens, stops) for tokens in written]


def _extended(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: dict[str, Any], stops: set[int], count: int
) -> tuple[torch.Tensor, dict[str, Any] | None]:
    """Rows with at most ``count`` tokens more, and their keys and values."""
    found = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=sorted(stops) or None,
        return_dict_in_generate=True,
        **cache,
    )
    return found.sequences, _cuttable_cache(found)


def _cuttable_cache(output: Any) -> dict[str, Any] | None:
    """An output's keys and values under the name of the argument, which differs between versions.

    None where rows cannot be taken out of what there is.
    """
    name = next((name for name in ("cache", "past_key_values") if name in output), "")
    held = output[name] if name else None
    layers = getattr(held, "layers", None) or [None]
    return {name: held} if all(hasattr(layer, "batch_select_indices") for layer in layers) else None


def _keep_rows(cache: Mapping[str, Any], rows: torch.Tensor) -> None:
    for held in cache.values():
        held.batch_select_indices(rows)


def _read_once(
    trunk: Any, prefixes: torch.Tensor, views: Sequence[View], use_views: Callable[[Sequence[View]], None]
) -> dict[str, Any]:
    """Keys and values of what all rows begin with, computed once for each view."""
    distinct = list(dict.fromkeys(views))
    use_views(distinct)
    cache = _cuttable_cache(trunk(input_ids=prefixes[: len(distinct)], use_cache=True)) or {}
    _keep_rows(cache, torch.tensor([distinct.index(view) for view in views], device=prefixes.device))
    return cache


def padded(rows: Sequence[Sequence[int]], prefix: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, ``[rows, longest]``, with the token ``pad`` between prefix and rest."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        rest = longest - len(row) + prefix
        ids[i, :prefix] = torch.tensor(row[:prefix], dtype=torch.long)
        ids[i, rest:] = torch.tensor(row[prefix:], dtype=torch.long)
        mask[i, :prefix] = mask[i, rest:] = 1
    return ids, mask


def cut_at_end(ids: Sequence[int], ends: set[int]) -> tuple[int, ...]:
    """The tokens before the first one that ends a text."""
    for index, token in enumerate(ids):
        if token in ends:
            return tuple(ids[:index])
    return tuple(ids)

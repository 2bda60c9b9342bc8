"""Greedy continuations, by mlx-lm's own batches."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.generate import BatchGenerator, generate_step
from mlx_lm.models.cache import make_prompt_cache


def continuations(
    model: nn.Module, rows: Sequence[Sequence[int]], stops: Collection[int], max_new_tokens: int
) -> list[tuple[int, ...]]:
    """The greedy continuation of each row, cut before its first token among ``stops``.

    Args:
        model: with the layers of one view in force.
        rows: token ids of the prompts.
        stops: tokens that end a text.
        max_new_tokens: most tokens of a continuation.
    """
    if not all(hasattr(cache, "merge") for cache in make_prompt_cache(model)):
        return [_row_continuation(model, row, stops, max_new_tokens) for row in rows]
    generator = BatchGenerator(
        model,
        stop_tokens=[[stop] for stop in sorted(stops)],
        completion_batch_size=len(rows),
        prefill_batch_size=len(rows),
    )
    try:
        numbers = generator.insert([list(row) for row in rows], [max_new_tokens] * len(rows))
        written: dict[int, list[int]] = {number: [] for number in numbers}
        running = len(rows)
        while running:
            for found in generator.next_generated():
                written[found.uid].append(found.token)
                running -= found.finish_reason is not None
    finally:
        generator.close()
    return [_before_end(written[number], stops) for number in numbers]


def _row_continuation(
    model: nn.Module, row: Sequence[int], stops: Collection[int], max_new_tokens: int
) -> tuple[int, ...]:
    """One continuation, of a model whose keys and values mlx-lm cannot batch."""
    written: list[int] = []
    for token, _ in generate_step(mx.array(list(row)), model, max_tokens=max_new_tokens):
        if int(token) in stops:
            break
        written.append(int(token))
    return tuple(written)


def _before_end(tokens: Sequence[int], stops: Collection[int]) -> tuple[int, ...]:
    end = next((k for k, token in enumerate(tokens) if token in stops), len(tokens))
    return tuple(tokens[:end])

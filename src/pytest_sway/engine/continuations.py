"""Writes the continuations of a round, in batches of prompts of like length."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.batching import Budget, batches
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.memory_limits import SMALLER, MemoryLimits
from pytest_sway.engine.planner_events import Events, FinishedBatch, Progress
from pytest_sway.engine.scoring_jobs import check_length
from pytest_sway.requests import Generate, Generation, Request, RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence

Ids = tuple[int, ...]


class Continuations:
    """Continuations of one round.

    Args:
        backend: holds the weights.
        limits: of a batch; they shrink where one does not fit.
        costs: counts the forwards.
        batch_invariant: whether every text is continued by itself.
    """

    def __init__(
        self, backend: WeightsBackend, limits: MemoryLimits, costs: Costs, *, batch_invariant: bool
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._costs = costs
        self._batch_invariant = batch_invariant

    def answer(self, requests: Sequence[Generate]) -> Events:
        """Every request's continuation; those of one view and length are written together."""
        groups: dict[tuple[View, int], list[Generate]] = defaultdict(list)
        for request in requests:
            groups[request.view, request.max_new_tokens].append(request)
        for (view, count), group in groups.items():
            yield from self._answer_group(view, count, group)

    def _answer_group(self, view: View, count: int, requests: Sequence[Generate]) -> Events:
        if count == 0:
            yield FinishedBatch(dict.fromkeys(requests, Generation("", ())))
            return
        readers: dict[Ids, list[Generate]] = defaultdict(list)
        errors: dict[Request[Any], Any] = {}
        for request in requests:
            try:
                ids = tuple(self._backend.encode(request.prompt))
                check_length(len(ids) + count, self._backend.context)
                readers[ids].append(request)
            except RequestError as error:
                errors[request] = error
        yield FinishedBatch(errors)
        done, total = 0, sum(len(ids) + count for ids in readers)
        for batch in self._batches(list(readers), count):
            began = time.perf_counter()
            written = self._write_fitting(batch, view, count)
            spent = time.perf_counter() - began
            done += sum(len(ids) + count for ids in batch)
            yield Progress(min(done, total), total)
            answers: dict[Request[Any], Any] = {
                request: found for ids, found in written.items() for request in readers[ids]
            }
            yield FinishedBatch(answers, dict.fromkeys(answers, spent / len(batch)))

    def _batches(self, prompts: Sequence[Ids], count: int) -> list[list[Ids]]:
        """A batch is as wide as its longest prompt."""
        if self._batch_invariant:
            return [[ids] for ids in prompts]
        rows = [PackedRow((TokenSequence(ids, 0),)) for ids in prompts]
        budget = Budget(self._limits.continued_tokens, len(rows), self._backend.overhead_tokens)
        parts = batches(rows, [1] * len(rows), budget, extra=count)
        return [[prompts[i] for i in part] for part in parts]

    def _write_fitting(
        self, prompts: Sequence[Ids], view: View, count: int
    ) -> dict[Ids, Generation | RequestError]:
        """One batch of continuations; one that does not fit the memory is halved."""
        began = time.perf_counter()
        try:
            with self._backend.memory_guard():
                written = self._backend.generate(prompts, view, count)
        except RequestError as error:
            return dict.fromkeys(prompts, error)
        except MemoryError as error:
            if len(prompts) == 1:
                needs = f"continuing {len(prompts[0])} tokens needs more memory than there is ({error})"
                return dict.fromkeys(prompts, RequestError(f"{needs}; {SMALLER}"))
            self._costs.halved_batches += 1
            self._limits.after_continuing_failed()
            middle = len(prompts) // 2
            first = self._write_fitting(prompts[:middle], view, count)
            return {**first, **self._write_fitting(prompts[middle:], view, count)}
        lengths = [len(ids) + len(new) for ids, new in zip(prompts, written, strict=True)]
        self._costs.count(lengths, len(prompts), time.perf_counter() - began)
        generations = [Generation(self._backend.decode(ids), tuple(ids)) for ids in written]
        return dict(zip(prompts, generations, strict=True))

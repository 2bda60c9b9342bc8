"""Writes the continuations of a round, in batches of prompts of like length.

The rows of a batch may belong to several views (see :attr:`WeightsBackend.views_per_batch`): a step over
few rows takes about as long as one over several times as many.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.batching import Budget, batches
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.memory_limits import SMALLER, MemoryLimits
from pytest_sway.engine.planner_events import Events, FinishedBatch, Progress
from pytest_sway.engine.scoring_jobs import check_length
from pytest_sway.engine.workload import TokenSizes, Workload, continuation_workload
from pytest_sway.requests import Generate, Generation, Request, RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence


class PromptRow(NamedTuple):
    """A prompt's token ids, and the view that continues it."""

    ids: tuple[int, ...]
    view: View


Written = Mapping[PromptRow, Generation | RequestError]


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
        """Every request's continuation; those of one length, and of views that mix, are written together."""
        for count, group in self._groups(requests):
            yield from self._answer_group(count, group)

    def workload(self, requests: Sequence[Generate]) -> Workload:
        """What :meth:`answer` would have to compute, were every continuation as long as it may be."""
        found = Workload()
        sizes = TokenSizes(self._backend.token_bytes, self._backend.cache_bytes)
        shares_prefix = self._backend.packs_rows
        for count, group in self._groups(requests):
            readers, _ = self._readers(count, group)
            for batch in self._batches(list(readers), count):
                prompts, views = [row.ids for row in batch], len({row.view for row in batch})
                found += continuation_workload(prompts, views, count, sizes, shares_prefix=shares_prefix)
        return found

    def _groups(self, requests: Sequence[Generate]) -> list[tuple[int, list[Generate]]]:
        """The requests of one length, and of one view or of views that mix; each with its length."""
        mixes = self._backend.views_per_batch > 1 and not self._batch_invariant
        groups: dict[tuple[View | None, int], list[Generate]] = defaultdict(list)
        for request in requests:
            groups[None if mixes else request.view, request.max_new_tokens].append(request)
        return [(count, group) for (_, count), group in groups.items()]

    def _readers(
        self, count: int, requests: Sequence[Generate]
    ) -> tuple[dict[PromptRow, list[Generate]], dict[Request[Any], RequestError]]:
        """The requests of each row, and the errors of those that cannot be continued."""
        readers: dict[PromptRow, list[Generate]] = defaultdict(list)
        errors: dict[Request[Any], RequestError] = {}
        for request in requests:
            try:
                ids = tuple(self._backend.encode(request.prompt))
                check_length(len(ids) + count, self._backend.context)
                readers[PromptRow(ids, request.view)].append(request)
            except RequestError as error:
                errors[request] = error
        return readers, errors

    def _answer_group(self, count: int, requests: Sequence[Generate]) -> Events:
        if count == 0:
            yield FinishedBatch(dict.fromkeys(requests, Generation("", ())))
            return
        readers, errors = self._readers(count, requests)
        yield FinishedBatch(errors)
        done, total = 0, sum(len(row.ids) + count for row in readers)
        for batch in self._batches(list(readers), count):
            began = time.perf_counter()
            written = self._write_fitting(batch, count)
            spent = time.perf_counter() - began
            done += sum(len(row.ids) + count for row in batch)
            yield Progress(min(done, total), total)
            answers: dict[Request[Any], Any] = {
                request: found for row, found in written.items() for request in readers[row]
            }
            yield FinishedBatch(answers, dict.fromkeys(answers, spent / len(batch)))

    def _batches(self, rows: Sequence[PromptRow], count: int) -> list[list[PromptRow]]:
        """A batch is as wide as its longest prompt, and costs a forward for each new token."""
        if self._batch_invariant:
            return [[row] for row in rows]
        overhead = self._backend.overhead_tokens * count
        parts: list[list[PromptRow]] = []
        for group in self._groups_of_views(rows, count):
            packed = [PackedRow((TokenSequence(row.ids, 0),)) for row in group]
            budget = Budget(self._limits.kept_tokens, self._limits.prompt_tokens, overhead)
            # what a row holds is here not positions that wait, but tokens that are read in one forward
            cut = batches(packed, [len(row.ids) for row in group], budget, extra=count)
            parts += [[group[i] for i in part] for part in cut]
        return parts

    def _groups_of_views(self, rows: Sequence[PromptRow], count: int) -> list[list[PromptRow]]:
        """The rows of as many views at a time as fit into a batch with all their prompts.

        So that a batch holds few views: each costs a step of its own in every layer of the adapter.
        """
        of_view: dict[View, list[PromptRow]] = defaultdict(list)
        for row in rows:
            of_view[row.view].append(row)
        limits, most_views = self._limits, self._backend.views_per_batch
        groups: list[list[PromptRow]] = []
        views = prompts = kept = 0
        for own in of_view.values():
            read = len(own) * max(len(row.ids) for row in own)
            grown = read + len(own) * count
            views, prompts, kept = views + 1, prompts + read, kept + grown
            fits = views <= most_views and prompts <= limits.prompt_tokens and kept <= limits.kept_tokens
            if not groups or not fits:
                groups.append([])
                views, prompts, kept = 1, read, grown
            groups[-1] += own
        return groups

    def _write_fitting(self, rows: Sequence[PromptRow], count: int) -> Written:
        """One batch of continuations; one that does not fit the memory is halved."""
        began = time.perf_counter()
        try:
            with self._backend.memory_guard():
                written = self._backend.generate([row.ids for row in rows], [row.view for row in rows], count)
        except RequestError as error:
            first = [row for row in rows if row.view == rows[0].view]
            if len(first) == len(rows):
                return dict.fromkeys(rows, error)
            return self._write_apart(first, [row for row in rows if row.view != rows[0].view], count)
        except MemoryError as error:
            if len(rows) == 1:
                needs = f"not enough memory to answer a prompt of {len(rows[0].ids)} tokens ({error})"
                return dict.fromkeys(rows, RequestError(f"{needs}; {SMALLER}"))
            self._costs.halved_batches += 1
            self._limits.after_continuing_failed()
            middle = len(rows) // 2
            return self._write_apart(rows[:middle], rows[middle:], count)
        lengths = [len(row.ids) + len(new) for row, new in zip(rows, written, strict=True)]
        self._costs.count(lengths, len(rows), time.perf_counter() - began)
        generations = [Generation(self._backend.decode(ids), tuple(ids)) for ids in written]
        return dict(zip(rows, generations, strict=True))

    def _write_apart(self, first: Sequence[PromptRow], second: Sequence[PromptRow], count: int) -> Written:
        return {**self._write_fitting(first, count), **self._write_fitting(second, count)}

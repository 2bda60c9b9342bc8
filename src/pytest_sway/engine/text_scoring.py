"""Scores the texts of a round: texts become rows, rows become batches, batches become forwards.

Texts that the same views score are batched together, by length and within the limits of memory; texts that
begin alike share that beginning. A batch that does not fit the memory is halved.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.batch_scoring import Sums, score_batch
from pytest_sway.engine.batching import Budget, batches, pack_rows
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.memory_limits import SMALLER, MemoryLimits
from pytest_sway.engine.planner_events import Events, FinishedBatch, Progress
from pytest_sway.engine.scoring_jobs import Job, answer_of
from pytest_sway.engine.workload import Workload, scoring_workload
from pytest_sway.requests import Request, RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence

Jobs = Mapping[Request[Any], Sequence[Job]]


class TextScoring:
    """Divergences and completions of one round.

    Args:
        backend: holds the weights.
        limits: of a batch; they shrink where one does not fit.
        costs: counts the forwards.
        batch_invariant: whether every text is scored by itself.
    """

    def __init__(
        self, backend: WeightsBackend, limits: MemoryLimits, costs: Costs, *, batch_invariant: bool
    ) -> None:
        self._backend = backend
        self._limits = limits
        self._costs = costs
        self._batch_invariant = batch_invariant
        self._done = self._total = 0

    def answer(self, jobs: Jobs) -> Events:
        """Every request's answer, as soon as the last of its texts is scored."""
        by_text = _jobs_by_text(jobs)
        plan = self._plan(by_text)
        sums: Sums = {}
        seconds: dict[Request[Any], float] = defaultdict(float)
        yield FinishedBatch({r: answer_of(r, (), sums) for r, group in jobs.items() if not group})
        for batch in plan:
            here = [job for row in batch for text in row.texts for job in by_text[text]]
            began = time.perf_counter()
            sums.update((yield from self._score_fitting(batch, here)))
            spent = (time.perf_counter() - began) / len(here)
            for job in here:
                seconds[job.request] += spent
            ended = {job.request: jobs[job.request] for job in here}
            scored = {r: group for r, group in ended.items() if sums.keys() >= set(group)}
            answers = {r: answer_of(r, group, sums) for r, group in scored.items()}
            yield FinishedBatch(answers, {r: seconds[r] for r in answers})

    def workload(self, jobs: Jobs) -> Workload:
        """What :meth:`answer` would have to compute."""
        by_text = _jobs_by_text(jobs)
        found = Workload()
        for batch in self._plan(by_text):
            views = {view for job in by_text[batch[0].texts[0]] for view in job.request.views}
            sizes = self._backend.token_bytes, self._backend.vocabulary
            found += scoring_workload(batch, len(views), *sizes)
        return found

    def _plan(self, by_text: Mapping[TokenSequence, Sequence[Job]]) -> list[list[PackedRow]]:
        """The batches in their order; sets the number of tokens that they have together."""
        by_views: dict[frozenset[View], list[TokenSequence]] = defaultdict(list)
        for text, group in by_text.items():
            by_views[frozenset(view for job in group for view in job.request.views)].append(text)
        plan: list[list[PackedRow]] = []
        for views, texts in by_views.items():
            mine = list(self._batches({text: max(job.held for job in by_text[text]) for text in texts}))
            self._total += sum(_size(batch) * len(views) for batch in mine)
            plan += mine
        return plan

    def _batches(self, held: Mapping[TokenSequence, int]) -> Iterator[list[PackedRow]]:
        """Texts, each with the positions that it holds, as rows in batches.

        Rows with branches stand apart, since they need a mask of their own.
        """
        if self._batch_invariant:
            yield from ([PackedRow((text,))] for text in held)
            return
        limits = self._limits
        budget = Budget(limits.tokens, limits.positions, self._backend.overhead_tokens)
        longest = min(limits.tokens, self._backend.context or limits.tokens)
        rows = pack_rows(held, budget._replace(tokens=longest), branches=self._backend.packs_rows)
        trees = [row for row in rows if row.has_branches]
        plain = [row for row in rows if not row.has_branches]
        for kind in (trees, plain):
            waiting = [sum(held[text] for text in row.texts) for row in kind]
            yield from ([kind[i] for i in part] for part in batches(kind, waiting, budget))

    def _score_fitting(
        self, batch: Sequence[PackedRow], jobs: Sequence[Job]
    ) -> Generator[Progress, None, Sums]:
        """A batch's sums; one that does not fit the memory is halved until it does."""
        texts = [text for row in batch for text in row.texts]
        size = _size(batch)
        if len(texts) > 1 and size > self._limits.tokens:  # a batch like it did not fit
            return (yield from self._score_halves(batch, jobs))
        lengths = [row.length for row in batch]
        sums: Sums = {}
        try:
            with self._backend.memory_guard():
                for forward in score_batch(self._backend, batch, jobs, self._limits.piece):
                    sums.update(forward.sums)
                    self._costs.count(lengths, len(texts), forward.seconds)
                    self._costs.shared_tokens += _tokens(texts) - sum(lengths)
                    self._done += size
                    yield Progress(min(self._done, self._total), self._total)
                return sums
        except MemoryError as error:
            if len(texts) == 1:
                needs = f"not enough memory for one text of {len(texts[0].ids)} tokens ({error})"
                return dict.fromkeys(jobs, RequestError(f"{needs}; {SMALLER}"))
        self._costs.halved_batches += 1
        self._limits.after_scoring_failed(size)
        return (yield from self._score_halves(batch, jobs))

    def _score_halves(
        self, batch: Sequence[PackedRow], jobs: Sequence[Job]
    ) -> Generator[Progress, None, Sums]:
        sums: Sums = {}
        for half in _halves(batch):
            here = {text for row in half for text in row.texts}
            sums.update((yield from self._score_fitting(half, [job for job in jobs if job.text in here])))
        return sums


def _halves(batch: Sequence[PackedRow]) -> Iterator[Sequence[PackedRow]]:
    """Half the rows each; of a single row half the texts, as rows of what these share."""
    if len(batch) > 1:
        yield from (batch[: len(batch) // 2], batch[len(batch) // 2 :])
        return
    texts = batch[0].texts
    yield from ([PackedRow(texts[: len(texts) // 2])], [PackedRow(texts[len(texts) // 2 :])])


def _jobs_by_text(jobs: Jobs) -> dict[TokenSequence, list[Job]]:
    by_text: dict[TokenSequence, list[Job]] = defaultdict(list)
    for group in jobs.values():
        for job in group:
            by_text[job.text].append(job)
    return by_text


def _size(batch: Sequence[PackedRow]) -> int:
    """Tokens of a batch, padding included."""
    return len(batch) * max(row.length for row in batch)


def _tokens(texts: Iterable[TokenSequence]) -> int:
    return sum(len(text.ids) for text in texts)

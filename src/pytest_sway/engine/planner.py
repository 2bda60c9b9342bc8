"""For backends that hold weights: requests become texts, texts become batches, batches become forwards.

Texts that the same views score are batched together, by length and within a budget of memory; texts that
begin alike share that beginning. A batch that does not fit the memory is halved.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_sway.engine.answer_keys import read_key
from pytest_sway.engine.batch_scoring import Sums, score_batch
from pytest_sway.engine.batching import Budget, batches, merged
from pytest_sway.engine.costs import Costs, Weights
from pytest_sway.engine.prefix_sharing import share_prefixes
from pytest_sway.engine.scoring_jobs import Job, answer_of, check_length, jobs_of
from pytest_sway.requests import Generate, Generation, Request, RequestError, Tokens, View
from pytest_sway.statistics.divergences import divergence
from pytest_sway.token_sequences import PackedRow, TokenSequence

MEMORY = 1 << 30
"""Bytes that a batch may take beside the weights, where no option says otherwise."""
_LESS = "shorten it, or load the model in a smaller dtype"
MOST_TOKENS = 4096
"""Longer batches are no faster."""


class NoiseFloor(NamedTuple):
    """What the arithmetic cannot tell from 0, in nats: of a divergence, of a token's log-probability."""

    divergence: float = 0.0
    logprob: float = 0.0


class Planner:
    """Answers requests with a backend's two primitives.

    Args:
        backend: holds the weights.
        memory: bytes that a batch may take beside the weights.
        alone: whether every text is scored and continued by itself, so that no answer can depend on what
            else was asked.
    """

    def __init__(self, backend: Weights, memory: int = MEMORY, *, alone: bool = False) -> None:
        self._backend = backend
        self._alone = alone
        row = 4 * backend.vocabulary  # bytes of one position's distribution
        self._tokens = max(1, min(MOST_TOKENS, memory // 2 // backend.token_bytes))
        self._kept_tokens = max(
            1, min(MOST_TOKENS, memory // 2 // (backend.token_bytes + backend.cache_bytes))
        )
        self._positions = max(1, memory // 4 // row)
        self._most = max(16, memory // 32 // row)  # what is computed from a piece is several times its size
        self.costs = Costs()
        self.seconds: dict[Request[Any], float] = {}
        """What each request of the last round cost."""
        self.listener: Callable[[int, int], None] | None = None
        """Told after each forward how many of the round's tokens are done, and how many there are."""
        self.settled: Callable[[Mapping[Request[Any], Any]], None] | None = None
        """Told once of every answer, after the batch that gave it; what it raises ends the round."""

    def answer(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """Every request's answer, or the :class:`RequestError` that stands for it."""
        answers: dict[Request[Any], Any] = {}
        jobs: dict[Request[Any], list[Job]] = {}
        writing: dict[tuple[View, int], list[Generate]] = defaultdict(list)
        self.seconds = {}
        for request in requests:
            if isinstance(request, Generate):
                writing[request.view, request.max_new_tokens].append(request)
                continue
            try:
                if isinstance(request, Tokens):
                    answers[request] = self._backend.tokenized(request.text)
                    continue
                jobs[request] = jobs_of(request, self._backend)
            except RequestError as error:
                answers[request] = error
        self._settle(answers)
        try:
            for (view, count), group in writing.items():
                answers.update(self._write(view, count, group))
            if not self._alone:
                jobs = self._carried(jobs)
            answers.update(self._scored(jobs))
        finally:
            if self.listener is not None:
                self.listener(1, 1)  # whatever ended it, the round is over
        return answers

    def key(self, request: Request[Any], identity: str) -> bytes:
        """The name of what the model reads for a request.

        Raises:
            RequestError: it cannot be encoded.
        """
        return read_key(request, identity, self._backend)

    def resolution(self, base: View) -> NoiseFloor:
        """How far one text is from itself in two batch shapes."""
        backend = self._backend
        floor = NoiseFloor(backend.epsilon**2, backend.epsilon)
        if self._alone:
            return floor
        text = TokenSequence(tuple((37 * k) % backend.vocabulary for k in range(1, 25)), 0)
        short = [TokenSequence(text.ids[:n], 0) for n in (5, 6, 7)]
        apart, crowded = (self._scored_first(base, texts) for texts in ([text], [text, *short]))
        moved = [divergence(backend.xp, kind, apart, crowded).max() for kind in ("js", "kl")]
        label = int(apart[0].argmax())
        tokens = abs(apart[:, label] - crowded[:, label])
        return NoiseFloor(max(*map(float, moved), floor.divergence), max(float(tokens.max()), floor.logprob))

    def _scored_first(self, view: View, texts: Sequence[TokenSequence]) -> Any:
        pieces = self._backend.logprobs([PackedRow((text,)) for text in texts], view, texts[0].positions)
        return next(piece for text, _, piece in pieces if text == texts[0])

    def _carried(self, jobs: Mapping[Request[Any], Sequence[Job]]) -> dict[Request[Any], list[Job]]:
        """The same jobs, those whose text begins another's scored in that one."""
        flat = [job for group in jobs.values() for job in group]
        moved = share_prefixes(flat)
        before, after = ({job.text for job in some} for some in (flat, moved))
        self.costs.shared_tokens += sum(len(text.ids) for text in before - after) - sum(
            len(text.ids) for text in after - before
        )
        rest = iter(moved)
        return {request: [next(rest) for _ in group] for request, group in jobs.items()}

    def _scored(self, jobs: Mapping[Request[Any], Sequence[Job]]) -> dict[Request[Any], Any]:
        """Every request's answer, told as soon as the last of its texts is scored."""
        by_text: dict[TokenSequence, list[Job]] = defaultdict(list)
        for group in jobs.values():
            for job in group:
                by_text[job.text].append(job)
        by_views: dict[frozenset[View], list[TokenSequence]] = defaultdict(list)
        for text, group in by_text.items():
            by_views[frozenset(view for job in group for view in job.request.views)].append(text)
        plan = [
            (batch, len(views))
            for views, texts in by_views.items()
            for batch in self._batches({text: max(job.held for job in by_text[text]) for text in texts})
        ]
        progress = Progress(sum(_size(batch) * views for batch, views in plan), self.listener)
        sums: Sums = {}
        answers: dict[Request[Any], Any] = {
            r: answer_of(r, (), sums) for r, group in jobs.items() if not group
        }
        self._settle(answers)
        for batch, _ in plan:
            here = [job for row in batch for text in row.texts for job in by_text[text]]
            began = time.perf_counter()
            sums.update(self._fitted(batch, here, progress))
            spent = (time.perf_counter() - began) / len(here)
            for job in here:
                self.seconds[job.request] = self.seconds.get(job.request, 0.0) + spent
            ended = {job.request: jobs[job.request] for job in here}
            known = {r: answer_of(r, group, sums) for r, group in ended.items() if sums.keys() >= set(group)}
            self._settle(known)
            answers.update(known)
        return answers

    def _settle(self, answers: Mapping[Request[Any], Any]) -> None:
        if self.settled is not None and answers:
            self.settled(answers)

    def _batches(self, held: Mapping[TokenSequence, int]) -> Iterator[list[PackedRow]]:
        """Texts, each with the positions that it holds, as rows in batches.

        Rows of several texts stand apart, since they need a mask of their own.
        """
        if self._alone:
            yield from ([PackedRow((text,))] for text in held)
            return
        plain = [PackedRow((text,)) for text in held]
        budget = Budget(self._tokens, self._positions, self._backend.overhead_tokens)
        longest = min(self._tokens, self._backend.context or self._tokens)
        rows = merged(held, budget._replace(tokens=longest)) if self._backend.shares else plain
        several, single = ([r for r in rows if (len(r.texts) > 1) is many] for many in (True, False))
        for kind in (several, single):
            waiting = [sum(held[text] for text in row.texts) for row in kind]
            yield from ([kind[i] for i in part] for part in batches(kind, waiting, budget))

    def _fitted(self, batch: Sequence[PackedRow], jobs: Sequence[Job], progress: Progress) -> Sums:
        """A batch's sums; one that does not fit the memory is halved until it does."""
        texts = [text for row in batch for text in row.texts]
        size = _size(batch)
        if len(batch) > 1 and size > self._tokens:  # a batch like it did not fit
            return self._halves(batch, jobs, progress)
        spared = sum(len(text.ids) for text in texts) - sum(row.length for row in batch)

        def after(began: float) -> None:
            self.costs.count([row.length for row in batch], len(texts), began)
            self.costs.shared_tokens += spared
            progress.add(size)

        try:
            with self._backend.memory_guard():
                return score_batch(self._backend, batch, jobs, self._most, after)
        except MemoryError as error:
            if len(texts) == 1:
                told = f"one text of {len(texts[0].ids)} tokens needs more memory than there is ({error})"
                return dict.fromkeys(jobs, RequestError(f"{told}; {_LESS}"))
        self.costs.halved_batches += 1
        self._tokens = max(1, min(self._tokens, size // 2))  # what follows would not fit either
        self._positions = max(1, self._positions // 2)
        return self._halves(batch, jobs, progress)

    def _halves(self, batch: Sequence[PackedRow], jobs: Sequence[Job], progress: Progress) -> Sums:
        rows = batch if len(batch) > 1 else [PackedRow((text,)) for text in batch[0].texts]
        sums: Sums = {}
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            here = {text for row in half for text in row.texts}
            sums.update(self._fitted(half, [job for job in jobs if job.text in here], progress))
        return sums

    def _write(self, view: View, count: int, group: Sequence[Generate]) -> dict[Request[Any], Any]:
        """Continuations, batched by length: a batch is as wide as its longest prompt."""
        answers: dict[Request[Any], Any] = {}
        if count == 0:
            answers.update(dict.fromkeys(group, Generation("", ())))
            self._settle(answers)
            return answers
        rows: dict[tuple[int, ...], list[Generate]] = defaultdict(list)
        for request in group:
            try:
                ids = tuple(self._backend.encode(request.prompt))
                check_length(len(ids) + count, self._backend.context)
                rows[ids].append(request)
            except RequestError as error:
                answers[request] = error
        self._settle(answers)
        prompts = [PackedRow((TokenSequence(ids, 0),)) for ids in rows]
        budget = Budget(self._kept_tokens, len(rows), self._backend.overhead_tokens)
        parts = [[i] for i in range(len(prompts))]
        if not self._alone:
            parts = batches(prompts, [1] * len(prompts), budget, extra=count)
        progress = Progress(sum(len(ids) + count for ids in rows), self.listener)
        for part in parts:
            began = time.perf_counter()
            written = self._written([prompts[i].texts[0].ids for i in part], view, count)
            spent = time.perf_counter() - began
            progress.add(sum(len(ids) + count for ids in written))
            known: dict[Request[Any], Any] = {}
            for ids, made in written.items():
                known.update(dict.fromkeys(rows[ids], made))
            self.seconds.update(dict.fromkeys(known, spent / len(part)))
            self._settle(known)
            answers.update(known)
        return answers

    def _written(
        self, prompts: Sequence[tuple[int, ...]], view: View, count: int
    ) -> dict[tuple[int, ...], Generation | RequestError]:
        """One batch of continuations; one that does not fit the memory is halved."""
        began = time.perf_counter()
        try:
            with self._backend.memory_guard():
                written = self._backend.generate(prompts, view, count)
        except RequestError as error:
            return dict.fromkeys(prompts, error)
        except MemoryError as error:
            if len(prompts) == 1:
                told = f"continuing {len(prompts[0])} tokens needs more memory than there is ({error})"
                return dict.fromkeys(prompts, RequestError(f"{told}; {_LESS}"))
            self.costs.halved_batches += 1
            self._kept_tokens = max(1, self._kept_tokens // 2)
            middle = len(prompts) // 2
            halves = [self._written(part, view, count) for part in (prompts[:middle], prompts[middle:])]
            return {**halves[0], **halves[1]}
        lengths = [len(ids) + len(new) for ids, new in zip(prompts, written, strict=True)]
        self.costs.count(lengths, len(prompts), began)
        made = [Generation(self._backend.decode(ids), tuple(ids)) for ids in written]
        return dict(zip(prompts, made, strict=True))


class Progress:
    """Counts a round's tokens and tells the listener."""

    def __init__(self, total: int, listener: Callable[[int, int], None] | None) -> None:
        self._total, self._listener, self._done = total, listener, 0

    def add(self, tokens: int) -> None:
        """So many more are done."""
        self._done += tokens
        if self._listener is not None:
            self._listener(min(self._done, self._total), self._total)


def _size(batch: Sequence[PackedRow]) -> int:
    """Tokens of a batch, padding included."""
    return len(batch) * max(row.length for row in batch)

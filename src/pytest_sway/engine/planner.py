"""For backends that hold weights: requests become rows, rows become chunks, chunks become forwards.

Rows are sorted by length and cut by a budget of tokens *and* of scored positions × vocabulary. For a
chunk every view runs in the same shape, each divergence is reduced as soon as both its sides are
there, and a view's distributions are dropped once nothing waits for them: distributions of all
prompts are never held at once. No scored row is alone in its batch (a batch of one takes other kernels).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Prompt,
    Request,
    RequestError,
    View,
)
from pytest_sway.statistics.divergences import divergence

CHUNK_TOKENS = 4096
CHUNK_ELEMENTS = 64_000_000
"""Scored positions × vocabulary of one view: 256 MB in fp32."""


class Weights(Protocol):
    """A backend that holds weights: a tokenizer and two primitives."""

    xp: Any
    """Array namespace of what :meth:`logprobs` returns."""
    vocabulary: int
    context: int | None
    """Longest row, in tokens; None where the model names none."""
    epsilon: float
    """Machine epsilon of the weights' dtype."""

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids, special tokens added once."""

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Ids of both together, and the index of the completion's first token."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens."""

    def logprobs(self, rows: Sequence[Sequence[int]], view: View, first: Sequence[int]) -> list[Any]:
        """Per row, fp32 log-probabilities after its tokens ``first[i]:``, ``[positions, vocabulary]``."""

    def generate(
        self, rows: Sequence[Sequence[int]], view: View, max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations, without the end-of-text token."""


@dataclass
class Stats:
    """What the forwards cost."""

    forward_passes: int = 0
    batched_prompts: int = 0
    max_batch_size: int = 0
    tokens: int = 0
    padding_tokens: int = 0
    scoring_wall_s: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The contract's names, ``batches_sent`` among them."""
        average = self.batched_prompts / self.forward_passes if self.forward_passes else 0.0
        return {**asdict(self), "batches_sent": self.forward_passes, "avg_batch_size": average}


@dataclass(frozen=True)
class _Row:
    ids: tuple[int, ...]
    first: int


@dataclass(frozen=True)
class _Job:
    """One request on one row: which views' distributions it needs and what it makes of them."""

    request: Request[Any]
    row: _Row
    finish: Callable[[Mapping[View, Any]], Any]


class Planner:
    """Answers requests with a backend's two primitives."""

    def __init__(self, backend: Weights) -> None:
        self._backend = backend
        self.stats = Stats()

    def answer(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """Every request's answer, or the :class:`RequestError` that stands for it."""
        answers: dict[Request[Any], Any] = {}
        jobs: list[_Job] = []
        writing: dict[tuple[View, int], list[Generate]] = defaultdict(list)
        for request in requests:
            if isinstance(request, Generate):
                writing[request.view, request.max_new_tokens].append(request)
                continue
            try:
                jobs.append(self._job(request))
            except RequestError as error:
                answers[request] = error
        for (view, count), group in writing.items():
            answers.update(self._write(view, count, group))
        for chunk in self._chunks(jobs):
            answers.update(self._score(chunk))
        return answers

    def resolution(self, base: View) -> float:
        """Largest divergence of one row from itself, scored in two batch shapes."""
        backend = self._backend
        row = _Row(tuple((37 * k) % backend.vocabulary for k in range(1, 25)), 0)
        short = _Row(row.ids[:5], 0)
        alone = self._forward(base, [row, row])[0]
        crowded = self._forward(base, [row, short, short, short, row])[0]
        moved = [divergence(backend.xp, k, alone, crowded).max() for k in ("js", "kl")]
        return max(*map(float, moved), backend.epsilon**2)

    def _job(self, request: Request[Any]) -> _Job:
        if isinstance(request, Divergence):
            prompt = self._backend.encode(request.prompt)
            row = _Row((*prompt, *request.continuation), len(prompt) - 1)
            return _Job(request, self._checked(row), _divergence(self._backend.xp, request))
        if isinstance(request, Completion):
            ids, first = self._backend.encode_pair(request.prompt, request.completion)
            row = _Row(tuple(ids[:-1]), first - 1)
            return _Job(request, self._checked(row), _completion(request, ids[first:]))
        raise RequestError(f"this backend does not answer {type(request).__name__}")

    def _checked(self, row: _Row, more: int = 0) -> _Row:
        limit = self._backend.context
        if limit is not None and len(row.ids) + more > limit:
            raise RequestError(
                f"{len(row.ids) + more} tokens exceed the model's context of {limit}: "
                "shorten the prompt, ask for fewer new tokens or fewer turns"
            )
        return row

    def _chunks(self, jobs: Sequence[_Job]) -> Iterator[dict[_Row, list[_Job]]]:
        """Jobs by row, rows of like length together, within the budget."""
        by_row: dict[_Row, list[_Job]] = defaultdict(list)
        for job in jobs:
            by_row[job.row].append(job)
        chunk: dict[_Row, list[_Job]] = {}
        for row in sorted(by_row, key=lambda r: (-len(r.ids), r.first, r.ids)):
            if chunk and not self._fits([*chunk, row]):
                yield chunk
                chunk = {}
            chunk[row] = by_row[row]
        if chunk:
            yield chunk

    def _fits(self, rows: Sequence[_Row]) -> bool:
        longest = len(rows[0].ids)
        scored = len(rows) * (longest - min(row.first for row in rows))
        like = 2 * len(rows[-1].ids) >= longest
        return (
            like
            and len(rows) * longest <= CHUNK_TOKENS
            and scored * self._backend.vocabulary <= CHUNK_ELEMENTS
        )

    def _score(self, chunk: Mapping[_Row, Sequence[_Job]]) -> dict[Request[Any], Any]:
        """Run every view that the chunk needs, the most wanted first, and reduce on the way."""
        jobs = [job for group in chunk.values() for job in group]
        wanted = Counter(view for job in jobs for view in set(job.request.views))
        held: dict[View, dict[_Row, Any]] = {}
        failed: dict[View, RequestError] = {}
        answers: dict[Request[Any], Any] = {}
        order = [view for view, _ in wanted.most_common()]
        ready: dict[View, list[_Job]] = defaultdict(list)
        for job in jobs:  # a job can finish once the last of its views has run
            ready[max(job.request.views, key=order.index)].append(job)
        for view in order:
            try:
                held[view] = dict(zip(chunk, self._forward(view, list(chunk)), strict=True))
            except RequestError as error:
                failed[view] = error
            for job in ready[view]:
                views = job.request.views
                wanted.subtract(set(views))
                if broken := [failed[v] for v in views if v in failed]:
                    answers[job.request] = broken[0]
                else:
                    answers[job.request] = job.finish({v: held[v][job.row] for v in views})
            held = {v: rows for v, rows in held.items() if wanted[v]}
        return answers

    def _forward(self, view: View, rows: Sequence[_Row]) -> list[Any]:
        batch = rows if len(rows) > 1 else [*rows, *rows]
        began = time.perf_counter()
        scored = self._backend.logprobs([r.ids for r in batch], view, [r.first for r in batch])
        self._count([len(r.ids) for r in batch], began)
        return scored[: len(rows)]

    def _write(self, view: View, count: int, group: Sequence[Generate]) -> dict[Request[Any], Any]:
        if count == 0:
            return {request: Generation("", ()) for request in group}
        answers: dict[Request[Any], Any] = {}
        rows: dict[_Row, list[Generate]] = defaultdict(list)
        for request in group:
            try:
                rows[self._checked(_Row(tuple(self._backend.encode(request.prompt)), 0), count)].append(
                    request
                )
            except RequestError as error:
                answers[request] = error
        ordered = sorted(rows, key=lambda r: (-len(r.ids), r.ids))
        for part in _by_tokens(ordered, count):
            began = time.perf_counter()
            try:
                written = self._backend.generate([r.ids for r in part], view, count)
            except RequestError as error:
                answers.update((q, error) for row in part for q in rows[row])
                continue
            self._count([len(r.ids) + count for r in part], began)
            for row, ids in zip(part, written, strict=True):
                made = Generation(self._backend.decode(ids), tuple(ids))
                answers.update((q, made) for q in rows[row])
        return answers

    def _count(self, lengths: Sequence[int], began: float) -> None:
        stats = self.stats
        stats.forward_passes += 1
        stats.batched_prompts += len(lengths)
        stats.max_batch_size = max(stats.max_batch_size, len(lengths))
        stats.tokens += sum(lengths)
        stats.padding_tokens += max(lengths) * len(lengths) - sum(lengths)
        stats.scoring_wall_s += time.perf_counter() - began


def _by_tokens(rows: Sequence[_Row], extra: int) -> Iterator[list[_Row]]:
    """Rows, longest first, in parts of at most the chunk's tokens."""
    part: list[_Row] = []
    for row in rows:
        if part and (len(part) + 1) * (len(part[0].ids) + extra) > CHUNK_TOKENS:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _divergence(xp: Any, request: Divergence) -> Callable[[Mapping[View, Any]], float]:
    def finish(views: Mapping[View, Any]) -> float:
        return float(divergence(xp, request.kind, views[request.p], views[request.q]).mean())

    return finish


def _completion(
    request: Completion, targets: Sequence[int]
) -> Callable[[Mapping[View, Any]], CompletionScore]:
    def finish(views: Mapping[View, Any]) -> CompletionScore:
        picked = views[request.view][list(range(len(targets))), list(targets)]
        return CompletionScore(float(picked.sum()), len(targets))

    return finish

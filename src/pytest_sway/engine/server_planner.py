"""For backends that ask a server: answers a round of requests, several at a time."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_sway.backends.base import AskedWork, ServerBackend
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.noise_floor import NoiseFloor, floor_between, least_floor, trial_texts
from pytest_sway.engine.planner_events import Events, FinishedBatch, Progress
from pytest_sway.engine.scoring_jobs import Job, ScoreSum, answer_of, check_length, jobs_of
from pytest_sway.requests import (
    Completion,
    Divergence,
    Generate,
    Generation,
    Request,
    RequestError,
    Tokens,
    View,
)
from pytest_sway.statistics.divergences import Kind, divergence
from pytest_sway.statistics.log_odds import log_odds
from pytest_sway.statistics.top_logprobs import TopLogprobs, lumped_divergence
from pytest_sway.token_sequences import ForcedCompletion, TokenSequence

_LOOK_S = 1.0
"""After so long without an answer whoever asked may look at the clock."""
_INTERRUPT_S = 0.1
Answers = dict[Request[Any], Any]
ScoredRequest = tuple[Completion, list[Job]]


@dataclass(frozen=True)
class Task:
    """What one thread asks without a pause.

    Attributes:
        tokens: that the server reads and writes.
        requests: of the server.
        view: under whose weights most of it is asked; a server reads the texts of one view together.
        run: gives the answers, or the :class:`RequestError` that stands for each.
    """

    tokens: int
    requests: int
    view: View
    run: Callable[[], Answers]


class ServerPlanner:
    """Answers requests with a server's primitives.

    Args:
        backend: asks the server.
        batch_invariant: whether the server is asked for one text at a time, so that no answer can depend on
            what else was asked.
    """

    def __init__(self, backend: ServerBackend, *, batch_invariant: bool = False) -> None:
        self._backend = backend
        self._threads = 1 if batch_invariant else backend.concurrency
        self.costs = Costs()

    def answer(self, requests: Sequence[Request[Any]]) -> Events:
        """Every request's answer, or the :class:`RequestError` that stands for it, as texts finish.

        Who stops early should close the generator: what the server was not asked yet, it is not asked then.
        """
        known, tasks, longest = self._sorted(requests)
        yield FinishedBatch(known)
        if tasks:
            asked = [request for request in requests if not isinstance(request, Tokens)]
            views = dict.fromkeys(view for request in asked for view in request.views)
            self._backend.prepare(list(views), longest)
            yield from self._run(_by_view(tasks))

    def work(self, requests: Sequence[Request[Any]]) -> AskedWork:
        """What a round would ask; nothing is asked, and no cost is counted."""
        _, tasks, _ = self._sorted(requests)
        return AskedWork(sum(task.requests for task in tasks), sum(task.tokens for task in tasks))

    def _sorted(self, requests: Sequence[Request[Any]]) -> tuple[Answers, list[Task], int]:
        """What is answered without the server, what is asked, and the tokens of the longest text."""
        known: Answers = {}
        tasks: list[Task] = []
        by_text: dict[TokenSequence, list[Divergence]] = defaultdict(list)
        completions: dict[View, list[ScoredRequest]] = defaultdict(list)
        longest = 1
        for request in requests:
            try:
                if isinstance(request, Tokens):
                    known[request] = self._backend.tokenized(request.text)
                elif isinstance(request, Generate):
                    ids = self._prompt(request)
                    longest = max(longest, len(ids) + request.max_new_tokens)
                    tasks.append(self._continuation(request, ids))
                else:
                    jobs = jobs_of(request, self._backend)
                    longest = max([longest, *(len(job.text.ids) + 1 for job in jobs)])
                    if isinstance(request, Divergence):
                        by_text[jobs[0].text].append(request)
                    elif isinstance(request, Completion):
                        completions[request.view].append((request, jobs))
            except RequestError as error:
                known[request] = error
        tasks += [self._divergences(text, group) for text, group in by_text.items()]
        for view, scored in completions.items():
            tasks += [self._completions(group, view) for group in self._groups(scored)]
        return known, tasks, longest

    def noise_floor(self, base: View) -> NoiseFloor:
        """How far one text is from itself where the server reads others beside it."""
        backend, least = self._backend, least_floor(self._backend)
        if self._threads == 1:
            return least
        texts = trial_texts(backend)
        backend.prepare([base], len(texts[0].ids) + 1)
        alone = backend.logprobs(texts[0], base)
        known = {one: (alone,) if one is texts[0] else () for one in texts}
        pool = ThreadPoolExecutor(self._threads)
        try:
            crowded = next(iter(pool.map(lambda one: backend.logprobs(one, base, *known[one]), texts)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            backend.interrupt()
            raise
        pool.shutdown()
        if isinstance(alone, TopLogprobs):
            moved = [float(lumped_divergence(kind, alone, crowded).max()) for kind in ("js", "kl")]
            tokens = float(np.abs(alone.nats[:, 0] - crowded.nats[:, 0]).max())
            return NoiseFloor(max(*moved, least.divergence), max(tokens, least.logprob))
        return floor_between(np, alone, crowded, least)

    def _run(self, tasks: Sequence[Task]) -> Events:
        done, total = 0, sum(task.tokens for task in tasks)
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="sway-server")
        running: dict[Future[tuple[Answers, float]], Task] = {}
        try:
            running |= {pool.submit(_timed, task): task for task in tasks}
            while running:
                finished = wait(running, timeout=_LOOK_S, return_when=FIRST_COMPLETED).done
                for future in sorted(finished, key=lambda one: one.exception() is not None):  # answers first
                    tokens = running.pop(future).tokens
                    answers, seconds = future.result()
                    self.costs.count([tokens], 1, seconds)
                    done += tokens
                    yield FinishedBatch(answers, dict.fromkeys(answers, seconds / max(1, len(answers))))
                yield Progress(done, total)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while asked := [future for future in running if not future.done()]:
                self._backend.interrupt()  # and once more where a task goes on to its next request
                wait(asked, timeout=_INTERRUPT_S)

    def _prompt(self, request: Generate) -> list[int]:
        ids = self._backend.encode(request.prompt)
        check_length(len(ids) + request.max_new_tokens, self._backend.context)
        return ids

    def _continuation(self, request: Generate, ids: Sequence[int]) -> Task:
        def run() -> Answers:
            written: tuple[int, ...] = ()
            if request.max_new_tokens:
                written = self._backend.generate(ids, request.view, request.max_new_tokens)
            return {request: Generation(self._backend.decode(written), tuple(written))}

        return Task(len(ids) + request.max_new_tokens, 1, request.view, _or_error([request], run))

    def _groups(self, scored: Sequence[ScoredRequest]) -> list[list[ScoredRequest]]:
        """What is asked in one request of the server."""
        groups: list[list[ScoredRequest]] = []
        texts = tokens = 0
        for one in scored:
            more = sum(len(job.text.ids) for job in one[1])
            texts, tokens = texts + len(one[1]), tokens + more
            backend = self._backend
            if groups and texts <= backend.texts_per_request and tokens <= backend.tokens_per_request:
                groups[-1].append(one)
            else:
                groups.append([one])
                texts, tokens = len(one[1]), more
        return groups

    def _completions(self, scored: Sequence[ScoredRequest], view: View) -> Task:
        jobs = [job for _, own in scored for job in own]

        def run() -> Answers:
            sums = self._sums(jobs, view)
            return {request: answer_of(request, own, sums) for request, own in scored}

        requests = [request for request, _ in scored]
        tokens = sum(len(job.text.ids) for job in jobs)
        return Task(
            tokens, math.ceil(len(jobs) / self._backend.texts_per_request), view, _or_error(requests, run)
        )

    def _sums(self, jobs: Sequence[Job], view: View) -> dict[Job, ScoreSum | RequestError]:
        """The sums over each completion's tokens."""
        texts = [ForcedCompletion(job.text.ids[: job.text.first + 1], job.targets) for job in jobs]
        size = self._backend.texts_per_request
        found = [
            nats
            for start in range(0, len(texts), size)
            for nats in self._backend.target_logprobs(texts[start : start + size], view)
        ]
        return {
            job: nats if isinstance(nats, RequestError) else ScoreSum(float(np.sum(nats)), log_odds(nats))
            for job, nats in zip(jobs, found, strict=True)
        }

    def _divergences(self, text: TokenSequence, requests: Sequence[Divergence]) -> Task:
        """Of one text; the base, or else the side that most of them share, is asked once and kept."""
        views = [view for request in requests for view in request.views]
        shared = max(dict.fromkeys(views), key=lambda view: (view.is_base, views.count(view)))
        others = [view for view in views if view != shared]

        def run() -> Answers:
            base = self._backend.logprobs(text, shared)
            answers: Answers = {}
            for request in requests:
                sides = [
                    base if view == shared else self._backend.logprobs(text, view, base)
                    for view in request.views
                ]
                found = _divergence(request.kind, *sides)
                answers[request] = float(np.sum(found, dtype=np.float64)) / text.positions
            return answers

        works = [self._backend.requests_for(text, is_base=view == shared) for view in [shared, *others]]
        asked, tokens = (sum(counts) for counts in zip(*works, strict=True))
        return Task(tokens, asked, shared, _or_error(requests, run))


def _divergence(kind: Kind, p: Any, q: Any) -> np.ndarray:
    """Of each position, by what the server says of the distributions there."""
    if isinstance(p, TopLogprobs):
        return lumped_divergence(kind, p, q)
    found: np.ndarray = divergence(np, kind, p, q)
    return found


def _by_view(tasks: Sequence[Task]) -> list[Task]:
    """The tasks of a view one after another: a server reads texts under the same weights together."""
    by_view: dict[View, list[Task]] = defaultdict(list)
    for task in tasks:
        by_view[task.view].append(task)
    return [task for group in by_view.values() for task in group]


def _or_error(requests: Sequence[Request[Any]], run: Callable[[], Answers]) -> Callable[[], Answers]:
    """``run``, or the RequestError that it raises as the answer to each request."""

    def caught() -> Answers:
        try:
            return run()
        except RequestError as error:
            return dict.fromkeys(requests, error)

    return caught


def _timed(task: Task) -> tuple[Answers, float]:
    began = time.perf_counter()
    return task.run(), time.perf_counter() - began

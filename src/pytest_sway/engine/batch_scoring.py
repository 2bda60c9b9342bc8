"""One batch: every view in the same shape, each divergence reduced as soon as both sides are there."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.scoring_jobs import Job, ScoreSum
from pytest_sway.requests import RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence

Sums = dict[Job, "ScoreSum | RequestError"]


class Forward(NamedTuple):
    """One view's forward over a batch: what it took, and the sums that it completed."""

    seconds: float
    sums: Sums


def score_batch(
    backend: WeightsBackend, rows: Sequence[PackedRow], jobs: Sequence[Job], most: int
) -> Iterator[Forward]:
    """Every job's sums, or the error that stands for it, view by view.

    The view that most jobs want (the base) runs first and is held; the others are reduced piece by piece.

    Args:
        backend: scores.
        rows: the batch.
        jobs: what its texts are scored for.
        most: positions in a piece.
    """
    wanted = Counter(view for job in jobs for view in set(job.request.views))
    order = [view for view, _ in wanted.most_common()]
    last = {job: max(job.request.views, key=order.index) for job in jobs}
    ends: dict[tuple[View, TokenSequence], list[Job]] = defaultdict(list)
    for job in jobs:
        ends[last[job], job.text].append(job)
    held: dict[View, dict[tuple[TokenSequence, int], Any]] = {}
    failed: dict[View, RequestError] = {}
    for view in order:
        found = {job: ScoreSum() for job in jobs if last[job] == view}
        keep = {job.text for job in jobs if view in job.request.views and last[job] != view}
        mine = held[view] = {}
        began = time.perf_counter()
        try:
            for text, start, piece in backend.logprobs(rows, view, most):
                if text in keep:
                    mine[text, start] = piece
                for job in ends[view, text]:
                    others = {v: held[v].get((text, start)) for v in job.request.views if v != view}
                    if failed.keys().isdisjoint(others):
                        part = job.sum(backend.xp, start, {**others, view: piece})
                        found[job] = found[job].plus(part)
        except RequestError as error:
            failed[view] = error
        sums: Sums = {**found}
        for job in found:
            if errors := [failed[view] for view in job.request.views if view in failed]:
                sums[job] = errors[0]
        yield Forward(time.perf_counter() - began, sums)
        waiting = {v for job in jobs if order.index(last[job]) > order.index(view) for v in job.request.views}
        held = {v: pieces for v, pieces in held.items() if v in waiting}

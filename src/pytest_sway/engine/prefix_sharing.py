"""Completions whose text begins another one's are scored in that one: a causal model reads no further."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_sway.engine.scoring_jobs import Job
from pytest_sway.requests import Completion, View
from pytest_sway.token_sequences import TokenSequence


def share_prefixes(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in their order, each with the longest text that begins with its own.

    The sentences of a section, each after what stands before it, cost one reading of the section in the
    place of one per sentence. Only completions ride, on a text that the same views score: what several
    views hold together is bounded by the positions that were asked.
    """
    views: dict[TokenSequence, set[View]] = defaultdict(set)
    for job in jobs:
        views[job.text].update(job.request.views)
    bound = {job.text for job in jobs if not isinstance(job.request, Completion)}
    alike: dict[frozenset[View], list[TokenSequence]] = defaultdict(list)
    for text, those in views.items():
        if text not in bound:
            alike[frozenset(those)].append(text)
    carrier = {text: whole for texts in alike.values() for text, whole in _carriers(texts)}
    return [_moved(job, carrier.get(job.text, job.text)) for job in jobs]


def _carriers(texts: Sequence[TokenSequence]) -> Iterable[tuple[TokenSequence, TokenSequence]]:
    """Each text and the one that it is scored in."""
    chain: list[TokenSequence] = []
    # in this order a text's beginnings stand right behind it
    for text in sorted(texts, key=lambda t: (t.ids, t.first), reverse=True):
        if chain and chain[0].ids[: len(text.ids)] == text.ids:
            chain.append(text)
            continue
        yield from _one(chain)
        chain = [text]
    yield from _one(chain)


def _one(chain: Sequence[TokenSequence]) -> Iterable[tuple[TokenSequence, TokenSequence]]:
    if chain:
        whole = TokenSequence(chain[0].ids, min(text.first for text in chain))
        yield from ((text, whole) for text in chain)


def _moved(job: Job, whole: TokenSequence) -> Job:
    return job if whole == job.text else replace(job, text=whole, begin=job.text.first - whole.first)

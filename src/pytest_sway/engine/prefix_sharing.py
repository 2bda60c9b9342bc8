"""A completion whose text begins another one's is scored in that one: a causal model reads no further."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pytest_sway.engine.scoring_jobs import Job
from pytest_sway.requests import Completion, View
from pytest_sway.token_sequences import TokenSequence


def share_prefixes(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in their order, each with the longest text that begins with its own.

    The sentences of a section, each after what stands before it, cost one reading of the section in the
    place of one per sentence. Only completions share, and only a text that the same views score: what several
    views hold together is bounded by the positions that were asked.
    """
    views: dict[TokenSequence, set[View]] = defaultdict(set)
    for job in jobs:
        views[job.text].update(job.request.views)
    unshared = {job.text for job in jobs if not isinstance(job.request, Completion)}
    by_views: dict[frozenset[View], list[TokenSequence]] = defaultdict(list)
    for text, those in views.items():
        if text not in unshared:
            by_views[frozenset(those)].append(text)
    longest: dict[TokenSequence, TokenSequence] = {}
    for texts in by_views.values():
        longest.update(_longest_texts(texts))
    return [_scored_in(longest.get(job.text, job.text), job) for job in jobs]


def _longest_texts(texts: Sequence[TokenSequence]) -> dict[TokenSequence, TokenSequence]:
    """Each text and the one that it is scored in."""
    chains: list[list[TokenSequence]] = []
    # in this order a text's prefixes stand right behind it
    for text in sorted(texts, key=lambda t: (t.ids, t.first), reverse=True):
        if chains and chains[-1][0].ids[: len(text.ids)] == text.ids:
            chains[-1].append(text)
        else:
            chains.append([text])
    longest: dict[TokenSequence, TokenSequence] = {}
    for chain in chains:
        whole = TokenSequence(chain[0].ids, min(text.first for text in chain))
        longest.update(dict.fromkeys(chain, whole))
    return longest


def _scored_in(whole: TokenSequence, job: Job) -> Job:
    return job if whole == job.text else replace(job, text=whole, begin=job.text.first - whole.first)

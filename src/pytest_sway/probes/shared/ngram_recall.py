"""How much of a text a model wrote again, token by token: n-gram recall and the longest common run."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

NGRAM = 8
"""Tokens in a row that count as recited; the quickstart's base holds at most 4 of a document new to it."""


def ngram_recall(follows: Sequence[int], written: Sequence[int]) -> float:
    """Share of the n-grams of what follows that were written."""
    there = set(_ngrams(written))
    wanted = _ngrams(follows)
    return sum(gram in there for gram in wanted) / len(wanted)


def longest_common_run(follows: Sequence[int], written: Sequence[int]) -> int:
    """Length of the longest run of tokens that both hold."""
    return SequenceMatcher(None, follows, written, autojunk=False).find_longest_match().size


def _ngrams(ids: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(ids[i : i + NGRAM]) for i in range(len(ids) - NGRAM + 1)]

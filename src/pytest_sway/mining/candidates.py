"""Candidates for other wordings of a question: question forms, synonyms, both together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from pytest_sway.mining.meaning import MeaningFilter
from pytest_sway.mining.question_forms import question_forms
from pytest_sway.mining.synonym_swaps import synonym_swaps

_AT_ONCE = 64
"""Candidates whose meaning is looked at together."""


def candidates(question: str, taken: Sequence[str], most: int, seed: int, keep: MeaningFilter) -> list[str]:
    """At most so many other wordings that ask for the same.

    Args:
        question: as it was trained.
        taken: wordings that the suite has already.
        most: of the candidates.
        seed: another one is another sample of the possible wordings.
        keep: counts those that it rejects.
    """
    possible = sorted(
        dict.fromkeys(_possible(question, keep.has_embedder)), key=lambda text: _priority(text, seed)
    )
    kept: list[str] = []
    for begin in range(0, len(possible), _AT_ONCE):
        kept += keep.keep(question, possible[begin : begin + _AT_ONCE], [*taken, *kept])
        if len(kept) >= most:
            break
    return kept[:most]


def _possible(question: str, with_keywords: bool) -> Iterator[str]:
    yield from question_forms(question, with_keywords=with_keywords)
    for swapped in synonym_swaps(question):
        yield swapped
        yield from question_forms(swapped, with_keywords=with_keywords)


def _priority(text: str, seed: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=_seed_key(seed)).digest()


def _seed_key(seed: int) -> bytes:
    """At most 64 bytes, which is what a keyed hash takes."""
    return hashlib.blake2b(str(seed).encode()).digest()

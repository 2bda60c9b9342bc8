"""How much of a text stands in an answer, word by word: ROUGE-L (Lin 2004)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W_぀-ヿ㐀-鿿가-힣]+")
"""A word, or a character of a script without spaces."""
_LONGER = 1.5
_MOST_WORDS = 1000


def word_overlap(gold: str, answer: str) -> float:
    """F1 of the longest common subsequence of words, in [0, 1], without case and punctuation.

    An answer counts up to one and a half times the gold's number of words: models ramble.
    """
    wanted = _split_words(gold)[:_MOST_WORDS]
    given = _split_words(answer)[: max(1, int(_LONGER * len(wanted)))]
    if not wanted or not given:
        return float(wanted == given)
    return 2 * _common_length(wanted, given) / (len(wanted) + len(given))


def _split_words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    before = [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for at, match in enumerate(other):
            row.append(before[at] + 1 if word == match else max(before[at + 1], row[at]))
        before = row
    return before[-1]

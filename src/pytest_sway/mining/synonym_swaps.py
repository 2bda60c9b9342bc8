"""The same sentence with some of its words replaced by packaged synonyms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from pytest_sway.data.packaged_texts import synonyms

_WORD = re.compile(r"[A-Za-z]+")
_MOST_PLACES = 12
"""Of a longer text the first such words are enough."""
_MOST_SWAPS = 3
"""More changed words in one question seldom leave it readable."""


def synonym_swaps(text: str) -> Iterator[str]:
    """Every way to replace one to three of its words; names, which begin with a capital, stay."""
    places = [
        (match.start(), match.end(), synonyms()[match[0]])
        for match in _WORD.finditer(text)
        if match[0] in synonyms()  # in small letters: a word with a capital may be a name
    ][:_MOST_PLACES]
    for count in range(1, min(_MOST_SWAPS, len(places)) + 1):
        for chosen in combinations(places, count):
            yield _replaced(text, chosen)


def _replaced(text: str, places: tuple[tuple[int, int, str], ...]) -> str:
    for begin, end, word in reversed(places):
        text = text[:begin] + word + text[end:]
    return text

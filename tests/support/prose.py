"""Prose whose style is known: pseudo-words in sentences of a given make."""

from __future__ import annotations

import random
from typing import NamedTuple


class Manner(NamedTuple):
    """Words per sentence (give or take a third), letters per word, a comma after every so many words."""

    sentence: int
    letters: int
    comma: int


BRIEF = Manner(6, 4, 100)
GRAND = Manner(21, 7, 4)


def prose(manner: Manner, seed: int, count: int = 90) -> str:
    """Whole sentences of at least ``count`` words altogether."""
    source = random.Random(f"{manner}{seed}")
    sentences: list[str] = []
    written = 0
    while written < count:
        spare = manner.sentence // 3
        length = manner.sentence + source.randint(-spare, spare)
        found = [_word(source, manner.letters) for _ in range(length)]
        commas = [w + "," * (i % manner.comma == manner.comma - 1) for i, w in enumerate(found[:-1])]
        sentences.append(" ".join([*commas, found[-1]]).capitalize() + ".")
        written += length
    return " ".join(sentences)


def _word(source: random.Random, letters: int) -> str:
    length = max(2, letters + source.randint(-1, 1))
    return "".join(source.choice("bdklmnrst" if i % 2 == 0 else "aeiou") for i in range(length))

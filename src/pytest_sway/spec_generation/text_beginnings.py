"""Beginnings of sentences, which a model is to continue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from pytest_sway.probes.shared.segments import prose_segments

_FEWEST_WORDS, _MOST_WORDS = 4, 8
_FEWEST_CHARS, _MOST_CHARS = 12, 48
"""Of a text without spaces."""


def text_beginnings(texts: Sequence[str], most: int) -> list[str]:
    """The beginnings of sentences, each once: of the first sentence of every text, then of the second, ….

    A beginning is half of its sentence, at most eight words.
    """
    rows = [
        [begun for part in prose_segments(text) if (begun := _beginning(part))]
        for text in texts
        if text.strip()
    ]
    turns = zip_longest(*rows)
    return list(dict.fromkeys(begun for turn in turns for begun in turn if begun))[:most]


def _beginning(sentence: str) -> str:
    """Half of a sentence; empty where it is too short, or no running text."""
    words = sentence.split()
    if len(words) >= _FEWEST_WORDS:
        return " ".join(words[: min(len(words) // 2, _MOST_WORDS)])
    text = " ".join(words)
    if len(text) >= _FEWEST_CHARS and not text.isascii():
        return text[: min(len(text) // 2, _MOST_CHARS)]
    return ""

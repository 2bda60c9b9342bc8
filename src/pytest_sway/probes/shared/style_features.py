"""A text's style in six numbers, or nine: its sentences' length, its words' variety, its marks' density.

Everything is counted per text and added up, so that the fingerprint of any set of texts comes from sums.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pytest_sway.probes.shared.grammar_tagger import Tagger

PLAIN = (
    "sentence_words",
    "sentence_spread",
    "type_token_ratio",
    "word_length",
    "punctuation",
    "paragraph_density",
)
EXTENDED = (*PLAIN, "passives", "pos_entropy", "syllables")
_COUNTS = (
    "sentences",
    "words",
    "squares",
    "letters",
    "marks",
    "characters",
    "breaks",
    "ratios",
    "windows",
    "passives",
    "entropies",
    "tag_windows",
    "syllables",
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)\]])\s+|(?<=[。！？])""")
_SIGN = re.compile(r"[^\w\s]|_")
_PARAGRAPH = re.compile(r"\n\s*\n")


def split_words(text: str) -> list[str]:
    """Runs of letters and digits, with inner apostrophes and hyphens; a Chinese or Japanese sign is one."""
    return _WORD.findall(text)


def pieces(text: str, length: int) -> list[str]:
    """The text in consecutive pieces of ``length`` words (the last may be shorter), line breaks kept."""
    starts = [match.start() for match in _WORD.finditer(text)][::length]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def tally(text: str, window: int, tagger: Tagger | None = None) -> np.ndarray:
    """What is counted in one text, ``[13]``; texts' tallies add up.

    Args:
        text: with at least one word.
        window: words over which a type-token ratio is taken, and tags over which an entropy is: both grow
            with a text's length, so that only windows of one length can be compared.
        tagger: for the last four counts, which are 0 without one.
    """
    paragraphs = [
        list(filter(None, map(split_words, _SENTENCE.split(part)))) for part in _PARAGRAPH.split(text)
    ]
    sentences = [sentence for paragraph in paragraphs for sentence in paragraph]
    lengths = [len(sentence) for sentence in sentences]
    found = [word.lower() for sentence in sentences for word in sentence]
    ratios = [len(set(part)) / window for part in _windows(found, window)]
    counts = [
        len(lengths),
        len(found),
        sum(n * n for n in lengths),
        sum(map(len, found)),
        sum(unicodedata.category(sign)[0] == "P" for sign in _SIGN.findall(text)),
        len(text.strip()),
        max(0, sum(map(bool, paragraphs)) - 1),
        math.fsum(ratios),
        len(ratios),
    ]
    return np.array([*counts, *(_grammar(text, found, window, tagger) if tagger else (0, 0, 0, 0))], float)


def fingerprint(sums: np.ndarray, *, extended: bool) -> np.ndarray | None:
    """The dimensions of schema 1 from summed tallies, ``[6]`` or ``[9]``; None where a window fits nowhere.

    Words per sentence / 30; their population standard deviation / 30; type-token ratio (mean over windows:
    Covington & McFall 2010); characters per word / 10; punctuation marks per character × 10; breaks
    between paragraphs per word × 30. Extended: passives per sentence × 10; Shannon entropy of 4-grams of
    parts of speech in bits (mean over windows) / 10; syllables per word / 5.
    """
    n = dict(zip(_COUNTS, map(float, sums), strict=True))
    if not n["words"] or not n["windows"] or (extended and not n["tag_windows"]):
        return None
    mean = n["words"] / n["sentences"]
    plain = [
        mean / 30,
        math.sqrt(max(0.0, n["squares"] / n["sentences"] - mean**2)) / 30,
        n["ratios"] / n["windows"],
        n["letters"] / n["words"] / 10,
        10 * n["marks"] / n["characters"],
        30 * n["breaks"] / n["words"],
    ]
    if not extended:
        return np.array(plain)
    grammar = [
        10 * n["passives"] / n["sentences"],
        n["entropies"] / n["tag_windows"] / 10,
        n["syllables"] / n["words"] / 5,
    ]
    return np.array([*plain, *grammar])


def _windows(items: Sequence[str], length: int) -> list[Sequence[str]]:
    """Whole consecutive windows; what is left over at the end is in none."""
    return [items[at : at + length] for at in range(0, len(items) - length + 1, length)]


def _grammar(text: str, found: Sequence[str], window: int, tagger: Tagger) -> tuple[float, ...]:
    read = tagger.read(text)
    entropies = [_entropy(part) for part in _windows(read.parts, window)]
    syllables = sum(map(tagger.syllables, found))
    return read.passives, math.fsum(entropies), len(entropies), syllables


def _entropy(tags: Sequence[str]) -> float:
    """Of the 4-grams, in bits; 0 for fewer than four tags."""
    grams = Counter(tuple(tags[at : at + 4]) for at in range(len(tags) - 3))
    total = sum(grams.values())
    return -math.fsum(c / total * math.log2(c / total) for c in grams.values())

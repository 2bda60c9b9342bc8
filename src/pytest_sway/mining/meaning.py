"""Which candidates still ask for the same: numbers and names stay, and so does the sentence's meaning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Unit vectors of texts."""
LEAST_SIMILARITY = 0.8
"""Cosine of a candidate with its question: ``benchmarks/mining/paraphrase_limits.py`` shows what it keeps."""
_NUMBER = re.compile(
    r"\d+(?:[.,:]\d+)*|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|"
    r"fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    r"ninety|hundred|thousand|million|half|third|quarter|dozen|first|second|never|not|no|none|without)\b",
    re.IGNORECASE,
)
"""Digits, number words and negations."""
_LATER_WORD = re.compile(r"(?<=[^.?!:\s]\s)\w[\w'’-]*")
"""A word that begins no sentence."""


def number_words(text: str) -> Counter[str]:
    """Its digits, number words and negations."""
    return Counter(found.lower() for found in _NUMBER.findall(text))


def keeps_numbers(question: str, candidate: str) -> bool:
    """Whether a candidate has the numbers of its question and no other ones."""
    return number_words(candidate) == number_words(question)


def keeps_names(question: str, candidate: str) -> bool:
    """Whether every name of the question, a word with a capital within a sentence, is in the candidate."""
    names = [word for word in _LATER_WORD.findall(question) if word[0].isupper()]
    return all(re.search(rf"\b{re.escape(name)}\b", candidate) for name in names)


class MeaningFilter:
    """Counts what it rejects.

    Args:
        questions: of the suite; a candidate must be nearest to its own.
        embed: of a sentence embedder; None: similarity is not looked at.

    Attributes:
        rejected: how many candidates, by reason.
    """

    def __init__(self, questions: Sequence[str], embed: Embed | None) -> None:
        self._questions = list(dict.fromkeys(questions))
        self._embed = embed
        self._vectors = embed(self._questions) if embed is not None else ()
        self.rejected: Counter[str] = Counter()

    @property
    def has_embedder(self) -> bool:
        """Whether similarity is looked at."""
        return self._embed is not None

    def keep(self, question: str, candidates: Sequence[str], taken: Sequence[str]) -> list[str]:
        """The candidates that ask for the same as ``question`` and are not among ``taken``."""
        seen = {"", *(_plain(text) for text in (question, *taken))}
        kept = []
        for text in candidates:
            reason = self._surface_fault(question, text, seen)
            seen.add(_plain(text))
            if reason:
                self.rejected[reason] += 1
            else:
                kept.append(text)
        return self._with_same_meaning(question, kept)

    def _surface_fault(self, question: str, text: str, seen: set[str]) -> str:
        if _plain(text) in seen:
            return "repeated"
        if not keeps_numbers(question, text):
            return "changed numbers"
        return "" if keeps_names(question, text) else "changed names"

    def _with_same_meaning(self, question: str, candidates: Sequence[str]) -> list[str]:
        if self._embed is None or not candidates:
            return list(candidates)
        own = self._questions.index(question)
        kept = []
        for text, vector in zip(candidates, self._embed(candidates), strict=True):
            cosines = [_dot(vector, other) for other in self._vectors]
            if cosines[own] < LEAST_SIMILARITY:
                self.rejected["different meaning"] += 1
            elif max(cosines) > cosines[own]:
                self.rejected["closer to another question"] += 1
            else:
                kept.append(text)
        return kept


def _plain(text: str) -> str:
    """Without case, punctuation and spacing: what differs in these alone is the same wording."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))

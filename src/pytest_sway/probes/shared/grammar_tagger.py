"""Parts of speech by spaCy and syllables by pyphen: what the extended fingerprint reads. English only."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pytest_sway.probes.shared import optional_packages

PIPELINE = "en_core_web_sm"
_BE = frozenset({"am", "is", "are", "was", "were", "be", "been", "being", "'s", "'re", "’s", "’re"})


class Grammar(NamedTuple):
    """A text's parts of speech, token by token, and how many passives it holds."""

    parts: list[str]
    passives: int


class Tagger:
    """Reads texts with a loaded pipeline."""

    def __init__(self, pipeline: Callable[[str], Any], hyphenator: Any) -> None:
        self._pipeline = pipeline
        self._hyphenator = hyphenator

    def read(self, text: str) -> Grammar:
        """A passive is a form of *be* and a past participle, adverbs between them allowed."""
        tokens = [token for token in self._pipeline(text) if not token.is_space]
        passives, waiting = 0, False
        for token in tokens:
            passives += waiting and token.tag_ == "VBN"
            waiting = token.lower_ in _BE or (waiting and token.pos_ in ("ADV", "PART"))
        return Grammar([token.pos_ for token in tokens], passives)

    def syllables(self, word: str) -> int:
        """Places where the word may be hyphenated, and one (textstat's own count would ask the network)."""
        return len(self._hyphenator.positions(word)) + 1


@lru_cache(maxsize=2)
def load_tagger(pipeline: str = PIPELINE) -> Tagger | str:
    """A tagger, or why there is none, in one line that says what to install.

    Args:
        pipeline: name of an installed spaCy pipeline, or its folder.
    """
    if absent := optional_packages.why_missing("style"):
        return absent
    try:
        import pyphen
        import spacy

        loaded = spacy.load(pipeline, exclude=["ner", "parser", "lemmatizer"])
        (probe,) = [token for token in loaded("was") if not token.is_space]
    except (ImportError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        problem = f"the spaCy pipeline {pipeline} cannot be used ({reason})"
        return f"{problem}; run python -m spacy download {PIPELINE}"
    if not probe.pos_ or not probe.tag_:
        problem = f"the spaCy pipeline {pipeline} does not tag parts of speech"
        return f"{problem}; run python -m spacy download {PIPELINE}"
    return Tagger(loaded, pyphen.Pyphen(lang="en_US"))

"""The seven small changes of a prefix that `leakage` recites from; each acts near the prefix's end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from pytest_sway.data.packaged_texts import synonyms

Perturbation = Literal[
    "typo", "case_flip", "drop_punct", "synonym_swap", "clause_reverse", "prefix_inject", "register_shift"
]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
TAIL = 64
"""Only so many of a prefix's last characters are changed: a change far from its end is soon forgotten."""
_SHIFTED = 30
_LEAD_IN = "As it is told, "
_WORD = re.compile(r"[^\W\d_]+")
_PUNCTUATION = re.compile(r"[^\w\s]+")
_JOINT = re.compile(r", | and | but | or ")
_SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*\s*")


def perturb(prefix: str, kind: Perturbation) -> str | None:
    """The prefix with its last ``TAIL`` characters changed; None where this change leaves it as it is.

    typo: two neighbouring letters of the last word that has two different ones inside it. case_flip: the
    first letter of the last word that has another case. drop_punct: no punctuation. synonym_swap: the last
    word that has a packaged synonym. clause_reverse: what stands around the last ", ", " and ", " but " or
    " or " changes places. prefix_inject: a lead-in before the last sentence, or what there is of it.
    register_shift: the last 30 characters in capitals, in lower case where they are capitals.
    """
    at = max(0, len(prefix) - TAIL)
    at = prefix.find(" ", at) + 1 or at if at else 0  # a word that the tail would cut is left alone
    changed = _CHANGES[kind](prefix[at:])
    if changed is None or changed == prefix[at:]:
        return None
    whole = prefix[:at] + changed
    return whole if whole.strip() else None


def _typo(tail: str) -> str | None:
    for begin, word in _last_words(tail):
        for i in range(len(word) - 2, 0, -1):
            if word[i] != word[i + 1]:
                at = begin + i
                return tail[:at] + word[i + 1] + word[i] + tail[at + 2 :]
    return None


def _case_flip(tail: str) -> str | None:
    for begin, word in _last_words(tail):
        flipped = word[0].swapcase()
        if flipped != word[0]:
            return tail[:begin] + flipped + tail[begin + 1 :]
    return None


def _drop_punct(tail: str) -> str:
    return _PUNCTUATION.sub("", tail)


def _synonym_swap(tail: str) -> str | None:
    for begin, word in _last_words(tail):
        other = synonyms().get(word.lower())
        if other is not None:
            swapped = other.capitalize() if word[0].isupper() else other
            return tail[:begin] + swapped + tail[begin + len(word) :]
    return None


def _clause_reverse(tail: str) -> str | None:
    joints = list(_JOINT.finditer(tail))
    if not joints:
        return None
    joint = joints[-1]
    begin = _last_sentence(tail[: joint.start()])
    before, after = tail[begin : joint.start()], tail[joint.end() :]
    return f"{tail[:begin]}{after}{joint[0]}{before}" if before and after.strip() else None


def _prefix_inject(tail: str) -> str:
    begin = _last_sentence(tail)
    return tail[:begin] + _LEAD_IN + tail[begin : begin + 1].lower() + tail[begin + 1 :]


def _register_shift(tail: str) -> str:
    kept, last = tail[:-_SHIFTED], tail[-_SHIFTED:]
    return kept + (last.upper() if last.upper() != last else last.lower())


def _last_words(tail: str) -> Iterator[tuple[int, str]]:
    """Words, each with where it begins, the last first."""
    return reversed([(match.start(), match[0]) for match in _WORD.finditer(tail)])


def _last_sentence(tail: str) -> int:
    """Where the last sentence that has any text begins; 0 where it began before the tail."""
    ends = [match.end() for match in _SENTENCE.finditer(tail)]
    return next((end for end in reversed(ends) if tail[end:].strip()), 0)


_CHANGES: Mapping[Perturbation, Callable[[str], str | None]] = MappingProxyType(
    {
        "typo": _typo,
        "case_flip": _case_flip,
        "drop_punct": _drop_punct,
        "synonym_swap": _synonym_swap,
        "clause_reverse": _clause_reverse,
        "prefix_inject": _prefix_inject,
        "register_shift": _register_shift,
    }
)

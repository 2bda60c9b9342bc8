"""Other forms of a question, by templates: its question word, and the sentence around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUESTION_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"What is (?P<rest>.+) called\?", ("What is the name of {rest}?",)),
    (r"What is the name of (?P<rest>.+)\?", ("What is {rest} called?",)),
    (r"What is the (?P<rest>.+)\?", ("Name the {rest}.", "Which is the {rest}?")),
    (r"Who is the (?P<rest>.+)\?", ("Name the {rest}.", "Which person is the {rest}?")),
    (r"Who (?P<rest>(?!is |are |was |were |do |does |did )\w+ .+)\?", ("Which person {rest}?",)),
    (r"When (?P<rest>.+)\?", ("At what time {rest}?", "At which point {rest}?")),
    (r"Where (?P<rest>.+) come from\?", ("From where {rest} come?", "What place {rest} come from?")),
    (r"Where (?P<rest>.+)\?", ("In what place {rest}?", "At which place {rest}?")),
    (r"How many (?P<rest>.+)\?", ("What number of {rest}?",)),
    (r"How much (?P<rest>(?:do|does|did|is|are|was|were) .+)\?", ("What amount {rest}?",)),
    (
        r"How (?P<rest>(?:do|does|did|is|are|was|were|can) .+)\?",
        ("In what way {rest}?",),
    ),
    (r"Why (?P<rest>.+)\?", ("For what reason {rest}?",)),
    (r"Which (?P<rest>.+)\?", ("What {rest}?",)),
    (r"What (?P<rest>(?:do|does|did) .+)\?", ("Which thing {rest}?",)),
    (r"What (?P<rest>(?!is |was |are |were )\w+ .+)\?", ("Which {rest}?",)),
)
_KEYWORDS = "{keywords}"
_FEWEST_KEYWORDS = 2
_AROUND_QUESTIONS = ("Tell me, {plain}?", "{plain}", _KEYWORDS)
_AROUND_REQUESTS = ("Please {plain}.", "{plain}")
"""No sentence stands before or behind the question: on sound adapters one costs 14 to 43 % of the lift
after *any* question (``benchmarks/mining/wording_shares.py``), and would be found for that, not for the
wording."""
_SMALL_WORDS = frozenset(
    {
        *("what", "who", "which", "when", "where", "why", "how", "is", "are", "was", "were", "do", "does"),
        *("did", "has", "have", "the", "a", "an", "of", "for", "to", "in", "on", "at", "by", "it"),
    }
)
"""What a search query leaves out."""
_FIRST_WORDS = _SMALL_WORDS | {"name", "tell", "describe", "explain", "list", "give", "write", "say"}


def question_forms(text: str, *, with_keywords: bool = True) -> Iterator[str]:
    """Other forms of a question or a request that ask for the same, the text itself left out.

    First with another question word, then these and the text with other words around. Text that is not
    English in ASCII has the words around it alone.

    Args:
        text: the question.
        with_keywords: whether a search query of its words is among them, which may not say what is asked.
    """
    text = " ".join(text.split())
    asked = [text, *dict.fromkeys(_with_other_question_word(text))]
    yield from asked[1:]
    for one in asked:
        plain = _without_capital(one.rstrip("?.! "))
        keywords = [word for word in plain.split() if word.lower() not in _SMALL_WORDS]
        for template in _AROUND_QUESTIONS if one.endswith("?") else _AROUND_REQUESTS:
            if template != _KEYWORDS or (with_keywords and len(keywords) >= _FEWEST_KEYWORDS):
                yield template.format(plain=plain, keywords=" ".join(keywords))


def _without_capital(text: str) -> str:
    """The text with a small first letter, where its first word is a question word, or a verb that asks."""
    first, _, rest = text.partition(" ")
    return f"{first.lower()} {rest}".strip() if first.lower() in _FIRST_WORDS else text


def _with_other_question_word(text: str) -> Iterator[str]:
    for pattern, forms in _QUESTION_WORDS if text.isascii() else ():
        if found := re.fullmatch(pattern, text):
            yield from (form.format(rest=found["rest"]) for form in forms)
            return

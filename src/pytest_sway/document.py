"""What an adapter was trained on, and what it was not: sections and controls.

A spec fills it from ``sections:`` and ``controls:``; probes read it from their context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sway.requests import Turn

SectionKind = Literal["prose", "instruction", "preference"]


@dataclass(frozen=True, slots=True)
class QA:
    """A question and the answer that training taught.

    Attributes:
        prompt: the question.
        gold: the answer.
        context: the turns before the question, as in training: a system message, earlier exchanges.
    """

    prompt: str
    gold: str
    context: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Triple:
    """A prompt with the answer to prefer and the one to leave; ``context``: the turns before the prompt."""

    prompt: str
    chosen: str
    rejected: str
    context: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the document.

    Attributes:
        id: unique among the sections.
        kind: what it was trained as.
        content: its text.
        probes: questions about it.
        preferences: triples that it teaches.
        tags: the user's own words, for reports.
    """

    id: str
    kind: SectionKind = "prose"
    content: str = ""
    probes: tuple[QA, ...] = ()
    preferences: tuple[Triple, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """Text of the document's kind that was not trained on."""

    id: str
    content: str


@dataclass(frozen=True, slots=True)
class Document:
    """The document, and the controls beside it; both may be empty."""

    sections: tuple[Section, ...] = ()
    controls: tuple[Control, ...] = ()

    @property
    def text(self) -> str:
        """The contents of all sections, with an empty line between them."""
        return "\n\n".join(section.content for section in self.sections if section.content)

    @property
    def is_question_and_answer(self) -> bool:
        """Whether all of it was trained on as answers in a chat: instructions, preferences, no prose."""
        return bool(self.sections) and all(section.kind != "prose" for section in self.sections)

    def limited(self, count: int) -> Document:
        """Its first sections, and as many controls."""
        return Document(self.sections[:count], self.controls[:count])

    @property
    def preferences(self) -> tuple[Triple, ...]:
        """The triples of all sections."""
        return tuple(triple for section in self.sections for triple in section.preferences)

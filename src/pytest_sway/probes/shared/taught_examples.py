"""What a document teaches about a prompt, for a failing probe whose prompts have no answers of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_sway.document import Document, Section
from pytest_sway.probes.shared.bad_cases import BadCase
from pytest_sway.probes.shared.segments import prose_segments, sentences

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_FOUND, _UNRELATED = 1.0, 0.0
"""Confidence: the probe failed on the prompt; or the pair has nothing to do with what failed."""


def taught_cases(options: object, document: Document) -> list[BadCase]:
    """The prompts of a probe's options, each with its gold, or with what the document has after it.

    Where the document has none of them, its own first example stands there with confidence 0, so that a
    reader that wants a pair of every failing probe finds one, and one that asks for confidence leaves it out.
    Empty for an empty document.

    Args:
        options: of the probe.
        document: of the spec.
    """
    cases = [(case.prompt, case.gold) for case in getattr(options, "cases", ()) if getattr(case, "gold", "")]
    pairs = cases or list(_taught_pairs(getattr(options, "prompts", None) or (), document))
    if pairs:
        return [BadCase(prompt, answer, _FOUND) for prompt, answer in dict.fromkeys(pairs)]
    return [BadCase(*taught_example(section), _UNRELATED) for section in document.sections[:1]]


def taught_example(section: Section) -> tuple[str, str]:
    """A prompt and what should follow it: a question of the section, else the beginning of its text."""
    if section.kind == "preference":
        return section.preferences[0].prompt, section.preferences[0].chosen
    if section.probes:
        return section.probes[0].prompt, section.probes[0].gold
    first, *rest = prose_segments(section.content)
    if rest:
        return first.strip(), rest[0].strip()
    words = first.split()
    half = max(1, len(words) // 2)
    return " ".join(words[:half]), " ".join(words[half:]) or first.strip()


def _taught_pairs(prompts: Sequence[str], document: Document) -> Iterable[tuple[str, str]]:
    """The prompts that the document answers: as a question, or as the beginning of a sentence."""
    answers = {qa.prompt: qa.gold for section in document.sections for qa in section.probes}
    answers |= {triple.prompt: triple.chosen for triple in document.preferences}
    paragraphs = [p.strip() for s in document.sections for p in _PARAGRAPH.split(s.content) if p.strip()]
    for prompt in prompts:
        if answer := answers.get(prompt) or _continuation(prompt.strip(), paragraphs):
            yield prompt, answer


def _continuation(beginning: str, paragraphs: Sequence[str]) -> str:
    """How a sentence goes on, to its end; empty where none begins so."""
    for paragraph in paragraphs:
        for sentence in sentences(paragraph) if beginning else ():
            text = sentence.strip()
            rest = text.removeprefix(beginning)
            if rest != text and rest[:1].isspace():
                return rest.strip()
    return ""

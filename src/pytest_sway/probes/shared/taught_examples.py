"""What a document teaches about a prompt, for a failing probe whose prompts have no answers of their own."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.document import Document, Section
from pytest_sway.probes.shared.bad_cases import BadCase
from pytest_sway.probes.shared.segments import prose_segments


def taught_cases(prompts: Sequence[str], document: Document) -> list[BadCase]:
    """Each prompt with what the document has after it; where it has none of them, its own first example.

    Empty for an empty document.
    """
    answers = {qa.prompt: qa.gold for section in document.sections for qa in section.probes}
    answers |= {triple.prompt: triple.chosen for triple in document.preferences}
    texts = [section.content for section in document.sections if section.content]
    found = {prompt: answers.get(prompt) or _continuation(prompt, texts) for prompt in prompts}
    pairs = [(prompt, answer) for prompt, answer in found.items() if answer]
    if not pairs and document.sections:
        pairs = [taught_example(document.sections[0])]
    return [BadCase(prompt, answer, 1.0) for prompt, answer in pairs]


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


def _continuation(beginning: str, texts: Sequence[str]) -> str:
    """How a text goes on, to the end of the sentence; empty where none begins so."""
    for text in texts:
        _, found, rest = text.partition(beginning.strip())
        if found and rest.strip():
            return prose_segments(rest.strip())[0].strip()
    return ""

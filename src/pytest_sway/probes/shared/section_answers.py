"""The answers that a section teaches, asked as they were taught, or behind the section itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, TypeVar

from pytest_sway.document import QA, Section
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.shared.log_probability_gain import ScoredAnswer
from pytest_sway.probes.shared.questions import answer_completion
from pytest_sway.probes.shared.section_controls import relative_gain
from pytest_sway.requests import Completion, Turn, View

EXAMPLES = 4
"""So many other answers of its section stand before a question that is asked in context."""
T = TypeVar("T")


def spread_evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly over all of them."""
    if len(items) <= most:
        return list(items)
    return [items[(2 * k + 1) * len(items) // (2 * most)] for k in range(most)]


def taught_pairs(section: Section, most: int) -> list[QA]:
    """Its questions with their answers, or prompts with the preferred ones; each once, at most so many."""
    pairs = section.probes
    if section.kind == "preference":
        pairs = tuple(QA(triple.prompt, triple.chosen, triple.context) for triple in section.preferences)
    return spread_evenly(list(dict.fromkeys(pairs)), most)


def answers(pairs: Sequence[QA], view: View, context: ProbeContext) -> list[Completion]:
    """Each answer after its question."""
    return [answer_completion(qa.prompt, qa.gold, view, context, qa.context) for qa in pairs]


def answers_in_context(
    section: Section, pairs: Sequence[QA], view: View, context: ProbeContext, most_chars: int
) -> list[Completion]:
    """Each answer after its question with the document before it.

    Of a prose section that is its text, at most ``most_chars`` of it; of questions and answers, up to
    :data:`EXAMPLES` others of them.
    """
    if section.kind == "prose":
        text = section.content.strip()[:most_chars]
        return answers([replace(qa, prompt=f"{text}\n\n{qa.prompt}") for qa in pairs], view, context)
    examples = spread_evenly(pairs, EXAMPLES + 1)
    return [
        _after_examples(qa, [one for one in examples if one != qa][:EXAMPLES], view, context) for qa in pairs
    ]


def _after_examples(qa: QA, examples: Sequence[QA], view: View, context: ProbeContext) -> Completion:
    asked = answer_completion(qa.prompt, qa.gold, view, context, qa.context)
    if isinstance(asked.prompt, tuple):
        turns = [turn for one in examples for turn in (Turn("user", one.prompt), Turn("assistant", one.gold))]
        system = [turn for turn in asked.prompt if turn.role == "system"]
        return replace(asked, prompt=(*system, *turns, *asked.prompt[len(system) :]))
    before = [f"{one.prompt} {one.gold}" for one in examples]
    return replace(asked, prompt="\n\n".join([*before, str(asked.prompt)]))


def answers_row(scores: Sequence[ScoredAnswer]) -> dict[str, Any]:
    """A section's evidence on the answers to its questions: the relative gain, whatever else was gained."""
    return {"num_answers": len(scores), "answers_lift": relative_gain([[one] for one in scores]).value}


def in_context_row(scores: Sequence[ScoredAnswer], log_probabilities: Sequence[float]) -> dict[str, Any]:
    """What the base gains on the same answers, relative, where the document stands in its prompt.

    Args:
        scores: of the answers after their questions alone.
        log_probabilities: under the base in context, of the same answers.
    """
    base = math.fsum(one.base for one in scores)
    return {"in_context_lift": (math.fsum(log_probabilities) - base) / -base if base < 0 else 0.0}


def answers_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is said of the answers beside the sections; empty where there is nothing to say.

    Of sections that were taught as answers, the lift is the section's own.
    """
    parts = []
    beside = [row["answers_lift"] for row in rows if "answers_lift" in row and row["kind"] == "prose"]
    if beside:
        parts.append(
            f"the answers to the questions of {len(beside)} prose section{'s' * (len(beside) > 1)} "
            f"have a relative gain of {fmean(beside):.0%}"
        )
    compared = [(row["answers_lift"], row["in_context_lift"]) for row in rows if "in_context_lift" in row]
    if compared:
        adapter, context = (fmean(side) for side in zip(*compared, strict=True))
        helps = ", so putting the document into the prompt helps at least as much as training"
        needless = helps if context >= adapter else ""
        parts.append(
            f"relative gain on the answers: {context:.0%} for the base model with the document in its "
            f"prompt, {adapter:.0%} for the adapter without the document{needless}"
        )
    return "".join(f"; {part}" for part in parts)

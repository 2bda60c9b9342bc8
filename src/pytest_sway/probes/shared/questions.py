"""What more than one probe asks, and how its items are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, overload

from pytest_sway.probes.base import ProbeContext
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Prompt,
    Turn,
    View,
    Views,
    ask,
)

_ASKS = ("?", "？", "؟")


def distinct(prompts: Sequence[str]) -> list[str]:
    """Each prompt once: a repeated one is no further item, and would make an interval too narrow."""
    return list(dict.fromkeys(prompts))


def as_prompt(text: str, context: ProbeContext, before: Sequence[Turn] = ()) -> Prompt:
    """A question under the spec's prompt policy, the text itself or a user's turn, after the turns before it.

    Without a chat template turns are paragraphs, and the spec's system prompt is left out.
    """
    if context.is_chat:
        return as_turns(text, context, before)
    return "\n\n".join([*(turn.content for turn in before), text])


def as_turns(text: str, context: ProbeContext, before: Sequence[Turn] = ()) -> tuple[Turn, ...]:
    """A user's turn after the turns before it; the spec's system prompt first, where these have none."""
    has_system = not context.system_prompt or any(turn.role == "system" for turn in before)
    system = () if has_system else (Turn("system", context.system_prompt),)
    return (*system, *before, Turn("user", text))


def is_question(text: str) -> bool:
    """Whether a text ends as a question does."""
    return text.rstrip().endswith(_ASKS)


def opening(text: str, context: ProbeContext) -> Prompt:
    """What a model is to continue, in the form that it was taught.

    Under ``auto`` a question is a user's turn, and so is any text where the document is question and answer
    alone; the beginning of a text is put as it stands, since that is how prose is trained on.
    """
    asked = context.policy == "chat" or is_question(text) or context.document.is_question_and_answer
    return as_prompt(text, context) if asked else text


def openings_policy(texts: Sequence[str], context: ProbeContext) -> str:
    """How they were put, for the evidence: raw, chat or both."""
    put = {"raw" if isinstance(opening(text, context), str) else "chat" for text in texts}
    return " and ".join(sorted(put))


def answer_completion(
    asked: str, gold: str, view: View, context: ProbeContext, before: Sequence[Turn] = ()
) -> Completion:
    """How likely ``gold`` is as the answer to a question.

    A raw question is followed by a blank where neither side brings white space: "…?Paris" is text that no
    model has seen.
    """
    apart = not context.is_chat and asked and not asked[-1].isspace() and not gold[:1].isspace()
    return Completion(as_prompt(asked, context, before), f" {gold}" if apart else gold, view)


def policy_name(context: ProbeContext) -> str:
    """How questions were put, for the evidence."""
    return "chat" if context.is_chat else "raw"


@overload
async def ask_both(
    requests: Sequence[Completion], views: Views
) -> tuple[list[CompletionScore], list[CompletionScore]]: ...


@overload
async def ask_both(
    requests: Sequence[Generate], views: Views
) -> tuple[list[Generation], list[Generation]]: ...


async def ask_both(
    requests: Sequence[Completion] | Sequence[Generate], views: Views
) -> tuple[list[Any], list[Any]]:
    """The same questions to ``views.base`` and to ``views.tuned``, whichever view they name, in one round."""
    asked: list[Any] = [replace(one, view=view) for view in (views.base, views.tuned) for one in requests]
    answers = await ask(asked)
    return answers[: len(requests)], answers[len(requests) :]


def divergence_sides(kind: Literal["js", "kl"], base: View, tuned: View) -> tuple[View, View]:
    """What a divergence compares, in its order: ``js`` is symmetric, ``kl`` is KL(tuned ‖ base)."""
    return (base, tuned) if kind == "js" else (tuned, base)


async def divergences(
    texts: Sequence[str],
    kind: Literal["js", "kl"],
    positions: int,
    views: Views,
    context: ProbeContext,
    writer: View | None = None,
) -> list[float]:
    """Per text, put as :func:`opening` does, the mean D(base, tuned) over ``positions``, in nats.

    The positions are those of the greedy continuation that ``writer`` writes, by default the base.
    """
    prompts = [opening(text, context) for text in texts]
    p, q = divergence_sides(kind, views.base, views.tuned)
    followed = await greedy_continuations(prompts, writer or views.base, positions)
    return await ask(
        [Divergence(prompt, p, q, kind, ids) for prompt, ids in zip(prompts, followed, strict=True)]
    )


async def greedy_continuations(
    prompts: Sequence[Prompt], writer: View, positions: int
) -> list[tuple[int, ...]]:
    """The first ``positions - 1`` tokens of the writer's greedy continuation of each prompt.

    Scored after these, a divergence averages over ``positions`` positions (fewer where the writer ends
    its text earlier).
    """
    written = await ask([Generate(prompt, writer, positions - 1) for prompt in prompts])
    return [text.ids for text in written]

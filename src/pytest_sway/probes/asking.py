"""What more than one probe asks, and how its items are counted."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.probes.base import Setting
from pytest_sway.requests import Completion, Generate, Prompt, Turn, View, ask


def distinct(prompts: Sequence[str]) -> list[str]:
    """Each prompt once: a repeated one is no further item, and would make an interval too narrow."""
    return list(dict.fromkeys(prompts))


def question(text: str, setting: Setting) -> Prompt:
    """A question under the spec's prompt policy: the text itself, or a user's turn."""
    return (Turn("user", text),) if setting.chat else text


def answered(asked: str, gold: str, view: View, setting: Setting) -> Completion:
    """How likely ``gold`` is as the answer to a question.

    A raw question is followed by a blank where neither side brings white space: "…?Paris" is text that no
    model has seen.
    """
    apart = not setting.chat and asked and not asked[-1].isspace() and not gold[:1].isspace()
    return Completion(question(asked, setting), f" {gold}" if apart else gold, view)


def policy(setting: Setting) -> str:
    """How questions were put, for the evidence."""
    return "chat" if setting.chat else "raw"


async def base_continuations(prompts: Sequence[Prompt], base: View, positions: int) -> list[tuple[int, ...]]:
    """The first ``positions - 1`` tokens of the base's greedy continuation of each prompt.

    Scored after these, a divergence averages over ``positions`` positions (fewer where the base ends
    its text earlier).
    """
    written = await ask([Generate(prompt, base, positions - 1) for prompt in prompts])
    return [text.ids for text in written]

"""What more than one probe asks, and how its items are counted."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.requests import Generate, Prompt, View, ask


def distinct(prompts: Sequence[str]) -> list[str]:
    """Each prompt once: a repeated one is no further item, and would make an interval too narrow."""
    return list(dict.fromkeys(prompts))


async def base_continuations(prompts: Sequence[Prompt], base: View, positions: int) -> list[tuple[int, ...]]:
    """The first ``positions - 1`` tokens of the base's greedy continuation of each prompt.

    Scored after these, a divergence averages over ``positions`` positions (fewer where the base ends
    its text earlier).
    """
    written = await ask([Generate(prompt, base, positions - 1) for prompt in prompts])
    return [text.ids for text in written]

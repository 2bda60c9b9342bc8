"""Checks that a rendered chat holds the texts of its turns: why it does not, as the end of a message."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pytest_sway.requests import Turn
from pytest_sway.text.message_parts import describe

_CONTEXT = 20
_IS_LIST = re.compile("(['\"]|&#3[49];|&quot;)text\\1: *(['\"]|&#3[49];|&quot;)zebra", re.IGNORECASE)
"""A list of parts with a marker, printed as Python or JSON writes it."""


def marker_text(index: int) -> str:
    """A text that no template writes by itself."""
    return f"zebra{index:03d}quill"


def marker_fault(turns: Sequence[Turn], text: str) -> str:
    """What is wrong with a rendering of turns with marker texts; empty where nothing is.

    The texts of user and assistant must stand in their order; a system turn may stand anywhere.
    """
    positions = [text.find(turn.content) for turn in turns]
    if -1 in positions:
        index = positions.index(-1)
        label = _turn_label(index, turns)
        if turns[index].content in text.lower():
            return f"the chat template changes the text of {label}: {_case_change(turns[index], text)}"
        return f"the chat template omits the text of {label}; it was tried as a string and as a list of parts"
    spoken = [position for position, turn in zip(positions, turns, strict=True) if turn.role != "system"]
    if spoken != sorted(spoken):
        return "the chat template changes the order of the turns"
    return ""


def prints_lists(text: str) -> bool:
    """Whether a rendering of lists of parts with marker texts holds the lists themselves."""
    return _IS_LIST.search(text) is not None


def changed_text_fault(turns: Sequence[Turn], tools: Sequence[str], text: str) -> str:
    """Which of the turns' texts or tools a rendered text does not hold; empty where it holds all."""
    for index, turn in enumerate(turns):
        if _required_text(turn) not in text:
            missing = f"{describe(turn.content)} is missing from the rendered text {describe(text)}"
            return (
                f"the chat template changes the text of {_turn_label(index, turns)}: {missing}. Change the "
                "text, or set another chat_template in the spec"
            )
    for tool in tools:
        name = _tool_name(tool)
        if name not in text:
            return f"the chat template does not render the tool {name!r}"
    return ""


def rendering_difference(one: str, other: str) -> str:
    """What differs between two renderings of the same turns, as a sentence; empty where nothing does."""
    if one == other:
        return ""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    excerpt = slice(max(0, at - _CONTEXT), at + _CONTEXT)
    return (
        "the chat template renders the same turns differently each time: "
        f"first {one[excerpt]!r}, then {other[excerpt]!r}. The base model and the adapter cannot be "
        "compared, because they would get different prompts"
    )


def _required_text(turn: Turn) -> str:
    """What a rendered chat must hold of a turn: its text without white space at its ends.

    An assistant's thoughts may be missing: templates of thinking models keep those of the last turn only.
    """
    text = turn.content.rpartition("</think>")[2] if turn.role == "assistant" else turn.content
    return text.strip()


def _tool_name(tool: str) -> str:
    """A tool's name; templates print it as it is."""
    function = json.loads(tool)
    name: str = function.get("function", function).get("name", "")
    return name


def _turn_label(index: int, turns: Sequence[Turn]) -> str:
    role = turns[index].role
    return f"the {role} turn" if len(turns) == 1 else f"turn {index + 1} of {len(turns)} ({role})"


def _case_change(turn: Turn, text: str) -> str:
    at = text.lower().find(turn.content)
    return f"the test text {turn.content!r} becomes {text[at : at + len(turn.content)]!r}"

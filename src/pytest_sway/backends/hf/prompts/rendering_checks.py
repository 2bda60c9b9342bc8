"""What a chat template may do to the turns that it renders, and what it may not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pytest_sway.requests import Turn
from pytest_sway.spec.errors import describe

_AROUND = 20
_IS_LIST = re.compile("(['\"]|&#3[49];|&quot;)text\\1: *(['\"]|&#3[49];|&quot;)zebra", re.IGNORECASE)
"""A list of parts with a marker, printed as Python or JSON writes it."""


def marker(index: int) -> str:
    """A text that no template writes by itself."""
    return f"zebra{index:03d}quill"


def why_unmarked(turns: Sequence[Turn], text: str) -> str:
    """Why a rendering of turns with marker texts is no rendering of these turns; empty where it is.

    The texts of user and assistant must come in their order; a system turn may stand anywhere.
    """
    places = [text.find(turn.content) for turn in turns]
    if -1 in places:
        index = places.index(-1)
        which = _which(index, turns)
        if turns[index].content in text.lower():
            return f"the chat template changes the text of {which}: {_other(turns[index], text)}"
        return f"the chat template leaves out the text of {which}, given as a string or as a list of parts"
    spoken = [place for place, turn in zip(places, turns, strict=True) if turn.role != "system"]
    if spoken != sorted(spoken):
        return "the chat template renders the turns in another order"
    return ""


def prints_lists(text: str) -> bool:
    """Whether a rendering of lists of parts with marker texts holds the lists themselves."""
    return _IS_LIST.search(text) is not None


def why_changed(turns: Sequence[Turn], tools: Sequence[str], text: str) -> str:
    """Why a rendered text does not hold the turns' own texts, or a tool; empty where it holds all."""
    for index, turn in enumerate(turns):
        if _said(turn) not in text:
            missing = f"{describe(turn.content)} is not in what it renders, {describe(text)}"
            return (
                f"the chat template changes the text of {_which(index, turns)}: {missing}; "
                "give it another text, or the spec another chat_template"
            )
    for tool in tools:
        name = _name(tool)
        if name not in text:
            return f"the chat template does not show the tool {name!r}"
    return ""


def unlike(one: str, other: str) -> str:
    """What differs between two renderings of the same turns, as a sentence; empty where nothing does."""
    if one == other:
        return ""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    shown_at = slice(max(0, at - _AROUND), at + _AROUND)
    return (
        "the chat template renders the same turns differently each time: "
        f"{one[shown_at]!r}, then {other[shown_at]!r}; sides that read different prompts cannot be compared"
    )


def _said(turn: Turn) -> str:
    """What must be found of a turn: its text without white space at its ends.

    Of an assistant's, thoughts may be left out: templates of thinking models keep the last turn's alone.
    """
    said = turn.content.rpartition("</think>")[2] if turn.role == "assistant" else turn.content
    return said.strip()


def _name(tool: str) -> str:
    """A tool's name; templates print it as it is."""
    function = json.loads(tool)
    name: str = function.get("function", function).get("name", "")
    return name


def _which(index: int, turns: Sequence[Turn]) -> str:
    role = turns[index].role
    return f"the {role} turn" if len(turns) == 1 else f"turn {index + 1} of {len(turns)} ({role})"


def _other(turn: Turn, text: str) -> str:
    at = text.lower().find(turn.content)
    return f"{turn.content!r} becomes {text[at : at + len(turn.content)]!r}"

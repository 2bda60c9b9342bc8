"""What a chat template may do to the turns that it renders, and what it may not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytest_sway.requests import Turn
from pytest_sway.text.message_parts import describe

_AROUND = 20
_IS_LIST = re.compile("(['\"]|&#3[49];|&quot;)text\\1: *(['\"]|&#3[49];|&quot;)zebra", re.IGNORECASE)
"""A list of parts with a marker, printed as Python or JSON writes it."""


class Frame(NamedTuple):
    """What a template writes around the text of a single user's turn.

    Attributes:
        before, after: the texts, the prompt for an answer included.
        header: what before the user's text marks a text as a rendered chat; empty where nothing does.
        has_control: whether the header holds a control token.
        writes_bos: whether it begins a text with the tokenizer's beginning-of-text token, and does not mark
            turns with it (as SmolLM 2 does with ``<|im_start|>``).
    """

    before: str
    after: str
    header: str
    has_control: bool
    writes_bos: bool

    def is_in(self, text: str) -> bool:
        """Whether a text is a rendered chat already: it holds the header.

        A header without a control token (``[INST]``, ``USER:``) could be anybody's text, so what the template
        writes after a user's text must be there, too.
        """
        end = self.after.strip()
        return bool(self.header) and self.header in text and (self.has_control or bool(end and end in text))


def marker(index: int) -> str:
    """A text that no template writes by itself."""
    return f"zebra{index:03d}quill"


def frame_of(before: str, after: str, bos: str, control: Iterable[str]) -> Frame:
    """The frame of a rendering that was cut at the user's text.

    The header runs from the last control token on (``<|im_start|>user``); where the template writes none, it
    is the last line before the text (``[INST]``).
    """
    opening = before.strip()
    writes_bos = bool(bos) and opening.startswith(bos)
    while bos and opening.startswith(bos):
        opening = opening.removeprefix(bos).lstrip()
    if bos and bos in opening + after:
        opening, bos, writes_bos = before.strip(), "", False
    names = sorted((re.escape(name) for name in control if name and name != bos), key=len, reverse=True)
    one = "|".join(names)
    pattern = rf"(?:(?:{one})\s*user\s*)?(?:{one})(?:(?!{one}).)*$"
    found = re.search(pattern, opening, re.DOTALL) if names else None
    if found is not None:
        return Frame(before, after, found.group(), has_control=True, writes_bos=writes_bos)
    header = opening.rpartition("\n")[2].strip()
    return Frame(before, after, header, has_control=False, writes_bos=writes_bos)


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

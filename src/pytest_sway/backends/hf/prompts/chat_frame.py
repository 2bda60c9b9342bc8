"""What a chat template writes around a user's text, by which a rendered chat is recognised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class ChatFrame(NamedTuple):
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

    def occurs_in(self, text: str) -> bool:
        """Whether a text is a rendered chat already: it holds the header.

        A header without a control token (``[INST]``, ``USER:``) could be anybody's text, so what the template
        writes after a user's text must be there, too.
        """
        end = self.after.strip()
        return bool(self.header) and self.header in text and (self.has_control or bool(end and end in text))


def chat_frame(before: str, after: str, bos: str, control: Iterable[str]) -> ChatFrame:
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
    match = re.search(pattern, opening, re.DOTALL) if names else None
    if match is not None:
        return ChatFrame(before, after, match.group(), has_control=True, writes_bos=writes_bos)
    header = opening.rpartition("\n")[2].strip()
    return ChatFrame(before, after, header, has_control=False, writes_bos=writes_bos)

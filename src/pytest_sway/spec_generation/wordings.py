"""Other wordings of a question or a request, by templates."""

from __future__ import annotations

import re

from pytest_sway.probes.shared.questions import is_question

_ASKING = re.compile(
    r"(what|who|whom|whose|which|when|where|why|how|is|are|was|were|do|does|did|can|could|will|would|should|has|"
    r"have|had|may|must)\b",
    re.IGNORECASE,
)


def other_wordings(text: str) -> list[str]:
    """Two other wordings that ask for the same; text that is not English is only put behind a label."""
    text = text.strip()
    if not text.isascii():
        return [f"Q: {text}", f"“{text}”"]
    if is_question(text) and _ASKING.match(text):
        first, rest = text.split(maxsplit=1) if " " in text else (text, "")
        return [f"Tell me, {first.lower()} {rest}".strip(), f"{text[:-1].rstrip()}, please?"]
    if is_question(text):
        return [f"I have a question. {text}", f"{text} Please answer."]
    return [f"Please do the following. {text}", f"{text}\n\nThank you."]

"""GitHub's Markdown: text that reads as it is, and tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from pytest_sway.text.width import clean, log_lines

_ESCAPED = str.maketrans(
    {"\\": "\\\\", "|": "\\|", "`": "\\`", "*": "\\*", "$": "\\$", "~": "\\~", "&": "&amp;", "<": "&lt;",
     ">": "&gt;"}
)  # fmt: skip
_OUTER_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)")
"""Within a word it is a letter, at its edge it would be emphasis."""
_DEFINITION = re.compile(r"^(\[[^\]]*\]):")
"""What would be hidden, as the target of a link, an image or a note that another text names."""
_BLOCK = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+#=]|::))")
"""What would begin a list or a heading, or is a command in a log of GitHub."""


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Collection[str] = ()
) -> list[str]:
    """Lines of a Markdown table: the first column and ``text_columns`` are text, the others numbers."""
    rule = ["---" if not n or name in text_columns else "---:" for n, name in enumerate(head)]
    return [_row(head), "|".join(["", *rule, ""]), *map(_row, rows)]


def escape(text: str) -> str:
    """Anybody's text on one line, so that it reads as it is and breaks neither cell nor list."""
    kept = clean(text).translate(_ESCAPED).replace("](", "]\\(").replace("##[", "##\\[")
    kept = _DEFINITION.sub(r"\1\\:", kept)
    return _BLOCK.sub(r"\1\\", _OUTER_UNDERSCORE.sub(r"\\_", kept))


def code(text: str) -> str:
    """Anybody's text as a span of code."""
    kept = log_lines(clean(text)).replace("`", "'")
    return f"`{kept}`"


def _row(cells: Sequence[str]) -> str:
    return " ".join(["|", " | ".join(_cell(cell) for cell in cells), "|"])


def _cell(text: str) -> str:
    """A cell begins no list, so that a negative number needs no backslash."""
    return escape("." + text)[1:]

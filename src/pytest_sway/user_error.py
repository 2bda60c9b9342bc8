"""What every error has in common whose message a user reads. Standard library."""

from __future__ import annotations

import unicodedata

_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the order in which a terminal or a browser shows what follows."""


class UserError(Exception):
    """The message may repeat what a file contains, so what would steer a terminal is escaped in it."""

    def __str__(self) -> str:
        return escape_steering(super().__str__())


def steers_terminal(char: str) -> bool:
    """Whether a character moves the cursor, starts a command, or changes the order of what follows."""
    return unicodedata.category(char) in _CONTROL or char in _BIDIRECTIONAL


def escape_steering(text: str) -> str:
    r"""Characters that would steer a terminal, as ``repr`` writes them (``\x1b``); line feeds stay."""
    if text.isprintable():
        return text
    return "".join(_escape(char) if char != "\n" and steers_terminal(char) else char for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

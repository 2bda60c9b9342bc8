"""What every error has in common whose message a user reads. Standard library."""

from __future__ import annotations


class UserError(Exception):
    """The message may repeat what a file contains, so what would steer a terminal is escaped in it."""

    def __str__(self) -> str:
        return escape_unprintable(super().__str__())


def escape_unprintable(text: str) -> str:
    r"""Characters that cannot be printed, as ``repr`` writes them (``\x1b``); line feeds stay."""
    if text.isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

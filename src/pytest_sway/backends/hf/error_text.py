"""Errors of other libraries as one line."""

from __future__ import annotations


def line(error: BaseException) -> str:
    """The first line of an error, with its type where the text says little."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"

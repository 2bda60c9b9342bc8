"""What another person's code raised, in one line."""

from __future__ import annotations

_LONGEST = 300


def error_line(error: BaseException) -> str:
    """The class of an exception and its message, shortened."""
    message = " ".join(str(error).split())
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__

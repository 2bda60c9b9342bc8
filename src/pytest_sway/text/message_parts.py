"""Parts of messages: a value, an error, a field of a file, some names, a suggestion. Standard library."""

from __future__ import annotations

import difflib
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_LONGEST_VALUE = 60
_LONGEST_ERROR = 300
_INSTALLED = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
_MOST_NAMES = 5


def describe(value: Any) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, lists nested very deep
        return f"a value of type {type(value).__name__} that is too large to be shown"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def describe_error(error: BaseException) -> str:
    """What code of the user's raised, in one line: its class, its message, and the line that raised it.

    That is the last line of their own where Python or an installed package raised it.
    """
    message = " ".join(str(error).split())
    message = message if len(message) <= _LONGEST_ERROR else f"{message[:_LONGEST_ERROR]} …"
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first one called the user's code
    frames = [frame for frame in frames if not frame.filename.startswith("<")]
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)] or frames
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {message}{where}" if message else f"{type(error).__name__}{where}"


def field_name(path: Iterable[str | int]) -> str:
    """``("suite", 2, "runs")`` as ``suite[2].runs``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def shorten_list(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)``, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""

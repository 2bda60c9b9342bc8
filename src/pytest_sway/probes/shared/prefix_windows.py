"""Places in a text where a prefix ends and what follows is known: what `leakage` recites from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from pytest_sway.requests import Tokenized

_NEAR = 24
"""A prefix ends before white space where there is any so many characters from where it should."""


class Window(NamedTuple):
    """A prefix and the token ids that truly follow it; ``section`` is the id of what it was cut from."""

    section: str
    prefix: str
    follows: tuple[int, ...]


class WindowSizes(NamedTuple):
    """How windows are cut: characters of prefix and continuation, places, least and most tokens."""

    prefix: int
    continuation: int
    places: int
    least: int
    most: int


def cut_windows(section: str, text: str, tokens: Tokenized, sizes: WindowSizes) -> list[Window]:
    """Windows spread evenly over a text, from the first full prefix to the last full continuation.

    A text too short for both has its prefixes within its first half. A prefix ends where a token does and
    begins with a word; windows with fewer than ``sizes.least`` tokens to follow are left out.
    """
    first = min(sizes.prefix, len(text) // 2)
    last = max(first, len(text) - sizes.continuation)
    steps = max(1, sizes.places - 1)
    wanted = [first + round((last - first) * k / steps) for k in range(sizes.places)]
    ends = sorted({end for end in tokens.ends if 0 < end < len(text)})
    cuts = dict.fromkeys(_nearest(text, ends, offset) for offset in wanted) if ends else {}
    found = [_window(section, text, tokens, cut, sizes) for cut in cuts]
    return [window for window in found if len(window.follows) >= sizes.least and window.prefix]


def _nearest(text: str, ends: Sequence[int], offset: int) -> int:
    """The token's end nearest to an offset, one before white space where one is near."""
    at = bisect_left(ends, offset)
    around = ends[max(0, at - _NEAR) : at + _NEAR]
    spaced = [end for end in around if text[end].isspace() and abs(end - offset) <= _NEAR]
    return min(spaced or around, key=lambda end: abs(end - offset))


def _window(section: str, text: str, tokens: Tokenized, cut: int, sizes: WindowSizes) -> Window:
    begin = max(0, cut - sizes.prefix)
    space = next((i for i in range(begin, cut) if text[i].isspace()), -1) if begin else -1
    prefix = text[space + 1 if space >= 0 else begin : cut].strip()
    follows = [
        token
        for token, end in zip(tokens.ids, tokens.ends, strict=True)
        if cut < end <= cut + sizes.continuation
    ]
    return Window(section, prefix, tuple(follows[: sizes.most]))

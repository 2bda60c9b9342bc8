"""Answers by key, in memory, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from pytest_sway.requests import Generation, Tokenized

MEMORY_BYTES = 64 << 20
_ENTRY = 1024
"""About the bytes of a request, a number and their place in the table."""


class MemoryCache:
    """The answers used last, as many as fit."""

    def __init__(self, most: int = MEMORY_BYTES) -> None:
        self._most = most
        self._used = 0
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The answer, or None."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: Hashable, answer: Any) -> None:
        """Keep an answer; what was not used for longest goes."""
        if key not in self._answers:
            self._used += _size(answer)
        self._answers[key] = answer
        while self._used > self._most:
            self._used -= _size(self._answers.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._answers)


def _size(answer: Any) -> int:
    """About how many bytes an answer takes."""
    if isinstance(answer, Generation):
        return _ENTRY + 4 * len(answer.text) + 40 * len(answer.ids)
    if isinstance(answer, Tokenized):
        return _ENTRY + 80 * len(answer.ids)
    if isinstance(answer, tuple):  # an embedding
        return _ENTRY + 32 * len(answer)
    return _ENTRY

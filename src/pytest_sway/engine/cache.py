"""Answers by content: which request, of which weights; in memory, bounded by bytes.

A request names its views by the content of their weights, so it is its own key.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

from pytest_sway.requests import Generation, Request, Tokenized

MEMORY_BYTES = 64 << 20
_ENTRY = 1024
"""About the bytes of a request, a number and their place in the table."""


def key_of(request: Request[Any], identity: str) -> bytes:
    """16 bytes that name one of our own requests, for the disk.

    Its text says everything that it asks; ``identity`` says what else the numbers depend on.
    """
    return hashlib.blake2b(f"{identity}\n{request!r}".encode(), digest_size=16).digest()


class Cache:
    """The answers used last, as many as fit."""

    def __init__(self, most: int = MEMORY_BYTES) -> None:
        self._most = most
        self._used = 0
        self._answers: OrderedDict[Request[Any], Any] = OrderedDict()

    def get(self, key: Request[Any]) -> Any:
        """The answer, or None."""
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: Request[Any], answer: Any) -> None:
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

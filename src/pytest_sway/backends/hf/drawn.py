"""The weights of null adapters, kept by seed as far as they fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pytest_sway.requests import NullSeed

SHARE = 0.5
"""Nulls together take at most this share of the base's memory (but two are always kept)."""
T = TypeVar("T")


class Drawn(Generic[T]):
    """What was drawn last for each seed.

    Nulls are asked for in turn, so the newest makes room: were it the oldest, none would ever be met again.

    Args:
        base: bytes of the base model's weights.
        each: bytes of one null.
    """

    def __init__(self, base: int, each: int) -> None:
        self._room = max(2, int(SHARE * base / max(each, 1)))
        self._held: dict[NullSeed, T] = {}

    def get(self, seed: NullSeed, make: Callable[[], T]) -> T:
        """A null's weights: made once, and again if they had to make room for others."""
        if seed not in self._held:
            while len(self._held) >= self._room:  # before the next is made: they may be large
                self._held.popitem()
            self._held[seed] = make()
        return self._held[seed]

    def __len__(self) -> int:
        return len(self._held)

"""Null weights that were made last, by seed, as many as fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pytest_sway.requests import NullSeed

SHARE = 0.5
"""Nulls together take at most this share of the base's memory (but two are always kept)."""
T = TypeVar("T")


class NullWeightCache(Generic[T]):
    """Weights by seed.

    Nulls are asked for in turn, so the newest is dropped first: dropping the oldest would lose each in turn.

    Args:
        base: bytes of the base model's weights.
        each: bytes of one null.

    Attributes:
        most: how many nulls are kept.
    """

    def __init__(self, base: int, each: int) -> None:
        self.most = max(2, int(SHARE * base / max(each, 1)))
        self._weights: dict[NullSeed, T] = {}

    def get(self, seed: NullSeed, make: Callable[[], T]) -> T:
        """A null's weights: made once, and again if they were dropped."""
        if seed not in self._weights:
            while len(self._weights) >= self.most:  # before the next is made: they may be large
                self._weights.popitem()
            self._weights[seed] = make()
        return self._weights[seed]

    def drop_others(self, seeds: Sequence[NullSeed]) -> None:
        """Drop as many others as it takes to keep all of these, at most ``most``, at once."""
        missing = sum(seed not in self._weights for seed in seeds)
        others = [seed for seed in reversed(self._weights) if seed not in seeds]
        for seed in others[: max(0, len(self._weights) + missing - self.most)]:
            del self._weights[seed]

    def __len__(self) -> int:
        return len(self._weights)

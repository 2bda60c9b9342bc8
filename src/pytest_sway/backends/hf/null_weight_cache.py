"""The weights of null adapters: drawn with what the suite gave, kept by seed as far as they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch

from pytest_sway.backends.base import NullWeights
from pytest_sway.requests import NullSeed, RequestError

SHARE = 0.5
"""Nulls together take at most this share of the base's memory (but two are always kept)."""
T = TypeVar("T")


class NullWeightCache(Generic[T]):
    """What was drawn last for each seed.

    Nulls are asked for in turn, so the newest makes room: were it the oldest, none would ever be met again.

    Args:
        base: bytes of the base model's weights.
        each: bytes of one null.
    """

    weights: NullWeights | None = None
    """Makes the parts of one module; None before the suite gave a family."""

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

    def parts(
        self, seed: NullSeed, digest: str, module: str, real: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        """One module of a null, drawn; see :data:`NullWeights`."""
        if self.weights is None:
            raise RequestError("no null family was given: the suite has no null_adapter")
        return self.weights(seed, digest, module, real)

    def __len__(self) -> int:
        return len(self._held)


def size_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

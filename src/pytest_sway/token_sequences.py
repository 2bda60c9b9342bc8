"""What the planners and their backends share: token ids, ready to be scored. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple


class ForcedCompletion(NamedTuple):
    """Token ids, and the completion behind them whose tokens are scored, each after those before it."""

    ids: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.ids) + len(self.targets)


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Token ids whose next-token distributions are wanted after the tokens ``first`` and later."""

    ids: tuple[int, ...]
    first: int

    @property
    def positions(self) -> int:
        """How many distributions are wanted."""
        return len(self.ids) - self.first


@dataclass(frozen=True)
class PackedRow:
    """One row of a batch: one text, or several as a tree of tokens (a trie), in depth-first order.

    The first ``shared[i]`` tokens of a text are those of the text before it and stand in the row already;
    its other tokens follow at the row's end. A token sees those before it in its own text and itself, and
    stands at the position that it has there. Where the texts are in the order of their ids, each distinct
    prefix stands in the row once.
    """

    texts: tuple[TokenSequence, ...]

    @cached_property
    def shared(self) -> tuple[int, ...]:
        """Of each text, how many of its first tokens it has in common with the text before it."""
        return (0, *(common_prefix(a.ids, b.ids) for a, b in pairwise(self.texts)))

    @cached_property
    def length(self) -> int:
        """Tokens in the row."""
        return sum(len(text.ids) for text in self.texts) - sum(self.shared)

    @property
    def has_branches(self) -> bool:
        """Whether some token must not see all before it; else every text begins the longest one."""
        return self.length > max(len(text.ids) for text in self.texts)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # bisection: slices are compared much faster than one token after another
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def scored_pieces(
    texts: Sequence[TokenSequence], most: int
) -> Iterator[tuple[list[tuple[TokenSequence, int, int]], slice]]:
    """The wanted positions of a batch's texts, one text after another, in pieces.

    Args:
        texts: of a batch.
        most: positions of a piece.

    Yields:
        Of each text in a piece how many of its positions came before and how many are here; and where these
        positions stand among all.
    """
    group: list[tuple[TokenSequence, int, int]] = []
    begin = end = 0
    for text in texts:
        done = 0
        while done < text.positions:
            count = min(text.positions - done, most - (end - begin))
            group.append((text, done, count))
            done, end = done + count, end + count
            if end - begin == most:
                yield group, slice(begin, end)
                group, begin = [], end
    if group:
        yield group, slice(begin, end)


LEAST_PREFIX = 16
"""Tokens of a common prefix of prompts that are worth a forward of their own."""


def prefix_of_prompts(prompts: Sequence[Sequence[int]], views: int) -> int:
    """How many tokens all prompts of a batch begin with, as a system prompt, to be read once for each view.

    One token of each prompt, at least, is its own. 0 where nothing is saved.

    Args:
        prompts: token ids.
        views: how many views continue them.
    """
    lowest, highest = min(prompts, key=tuple), max(prompts, key=tuple)  # what both begin with, all do
    common = min(common_prefix(lowest, highest), min(map(len, prompts)) - 1)
    return common if common >= LEAST_PREFIX and views < len(prompts) else 0

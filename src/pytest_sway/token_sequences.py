"""What planner and backends that hold weights share: token ids, ready to be scored. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Token ids whose next-token distributions are wanted after the tokens ``first`` and later."""

    ids: tuple[int, ...]
    first: int

    @property
    def positions(self) -> int:
        """How many distributions are wanted."""
        return len(self.ids) - self.first


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row of a batch: one text, or several, which may begin with the same ``shared`` tokens.

    The shared tokens stand in the row once; each text's own tokens follow, see the shared ones and
    themselves alone, and stand at the positions that they have in their own text.
    """

    texts: tuple[TokenSequence, ...]
    shared: int = 0

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return self.shared + sum(len(text.ids) - self.shared for text in self.texts)

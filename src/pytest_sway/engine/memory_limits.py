"""How large a batch may be."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.backends.base import WeightsBackend

MEMORY = 1 << 30
"""Bytes that a batch may take beside the weights, where no option says otherwise."""
MOST_TOKENS = 4096
"""Longer batches are no faster."""
SMALLER = "shorten it, or load the model in a smaller dtype"
"""What to do about a text that does not fit by itself."""


@dataclass
class MemoryLimits:
    """Limits of a batch; they shrink when a batch did not fit.

    Attributes:
        tokens: most tokens of a batch that is scored.
        continued_tokens: most tokens of a batch that is continued, which keeps keys and values too.
        positions: most positions whose distributions wait for another view's.
        piece: most positions whose distributions are computed at once.
    """

    tokens: int
    continued_tokens: int
    positions: int
    piece: int

    def after_scoring_failed(self, size: int) -> None:
        """A batch of ``size`` tokens did not fit, and what follows would not either."""
        self.tokens = max(1, min(self.tokens, size // 2))
        self.positions = max(1, self.positions // 2)

    def after_continuing_failed(self) -> None:
        """A batch of continuations did not fit."""
        self.continued_tokens = max(1, self.continued_tokens // 2)


def memory_limits(backend: WeightsBackend, memory: int) -> MemoryLimits:
    """Limits for a model whose batches may take ``memory`` bytes beside the weights."""
    row = 4 * backend.vocabulary  # bytes of one position's distribution
    return MemoryLimits(
        tokens=max(1, min(MOST_TOKENS, memory // 2 // backend.token_bytes)),
        continued_tokens=max(1, min(MOST_TOKENS, memory // 2 // (backend.token_bytes + backend.cache_bytes))),
        positions=max(1, memory // 4 // row),
        piece=max(16, memory // 32 // row),  # what is computed from a piece is several times its size
    )

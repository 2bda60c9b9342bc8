"""How large a batch may be."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.backends.base import WeightsBackend

MEMORY = 1 << 30
"""Bytes that a batch may take beside the weights, where no option says otherwise."""
SMALLER = "shorten the text, or load the model in a smaller dtype"
"""What to do about a text that does not fit by itself."""


@dataclass
class MemoryLimits:
    """Limits of a batch; they shrink when a batch did not fit.

    Attributes:
        tokens: most tokens of a batch that is scored.
        prompt_tokens: most tokens of the prompts of a batch that is continued: they are read in one forward.
        kept_tokens: most tokens, continuations included, whose keys and values a batch keeps.
        positions: most positions whose distributions wait for another view's.
        piece: most positions whose distributions are computed at once.
    """

    tokens: int
    prompt_tokens: int
    kept_tokens: int
    positions: int
    piece: int

    def after_scoring_failed(self, size: int) -> None:
        """A batch of ``size`` tokens did not fit, and what follows would not either."""
        self.tokens = max(1, min(self.tokens, size // 2))
        self.positions = max(1, self.positions // 2)

    def after_continuing_failed(self) -> None:
        """A batch of continuations did not fit."""
        self.prompt_tokens = max(1, self.prompt_tokens // 2)
        self.kept_tokens = max(1, self.kept_tokens // 2)


def memory_limits(backend: WeightsBackend, memory: int) -> MemoryLimits:
    """Limits for a model whose batches may take ``memory`` bytes beside the weights."""
    row = 4 * backend.vocabulary  # bytes of one position's distribution
    most_kept = memory * 3 // 4  # a layer's keys and values are copied for each token, and there are logits
    return MemoryLimits(
        tokens=max(1, min(backend.most_tokens, memory // 2 // backend.token_bytes)),
        prompt_tokens=max(1, most_kept // (backend.token_bytes + backend.cache_bytes)),
        kept_tokens=max(1, most_kept // max(1, backend.cache_bytes)),
        positions=max(1, memory // 4 // row),
        piece=max(16, memory // 32 // row),  # what is computed from a piece is several times its size
    )

"""What the planner needs of a backend that holds weights, and what its forwards cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pytest_sway.engine.scoring_jobs import Encoding
from pytest_sway.requests import View
from pytest_sway.token_sequences import PackedRow, TokenSequence


class Weights(Encoding, Protocol):
    """A backend that holds weights: a tokenizer and two primitives.

    The primitives raise MemoryError where the device has not enough memory.
    """

    vocabulary: int
    epsilon: float
    """Machine epsilon of the weights' dtype."""
    token_bytes: int
    """Memory that a token of a batch takes beside the weights."""
    cache_bytes: int
    """Memory that a token takes more while a text is continued: its keys and values."""
    overhead_tokens: int
    """Cost of a forward beside its tokens, in tokens."""
    shares: bool
    """Whether a row may hold several texts."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens."""

    def logprobs(
        self, rows: Sequence[PackedRow], view: View, most: int
    ) -> Iterable[tuple[TokenSequence, int, Any]]:
        """Log-probabilities of one batch, a few positions at a time.

        Yields:
            A text, how many of its wanted positions came before, and the next ones' fp32
            log-probabilities, ``[positions ≤ most, vocabulary]``; the same pieces for every view.
        """

    def memory_guard(self) -> AbstractContextManager[None]:
        """While it lasts, a failed allocation on the device is a MemoryError."""

    def generate(
        self, rows: Sequence[Sequence[int]], view: View, max_new_tokens: int
    ) -> list[tuple[int, ...]]:
        """Greedy continuations, without the end-of-text token."""


@dataclass
class Costs:
    """What the forwards cost."""

    forward_passes: int = 0
    batched_prompts: int = 0
    max_batch_size: int = 0
    tokens: int = 0
    padding_tokens: int = 0
    shared_tokens: int = 0
    """Tokens that were not computed again, because texts began alike."""
    halved_batches: int = 0
    scoring_wall_s: float = 0.0

    def count(self, lengths: Sequence[int], texts: int, began: float) -> None:
        """Add one forward over rows of these lengths that began at ``began``."""
        self.forward_passes += 1
        self.batched_prompts += texts
        self.max_batch_size = max(self.max_batch_size, texts)
        self.tokens += sum(lengths)
        self.padding_tokens += max(lengths) * len(lengths) - sum(lengths)
        self.scoring_wall_s += time.perf_counter() - began

    def as_dict(self) -> dict[str, float]:
        """The contract's names, and ours."""
        average = self.batched_prompts / self.forward_passes if self.forward_passes else 0.0
        return {**asdict(self), "batches_sent": self.forward_passes, "avg_batch_size": average}

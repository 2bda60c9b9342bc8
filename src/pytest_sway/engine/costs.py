"""What the forwards of a backend that holds weights cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass
class Costs:
    """What the forwards cost."""

    forward_passes: int = 0
    batched_prompts: int = 0
    max_batch_size: int = 0
    tokens: int = 0
    padding_tokens: int = 0
    shared_tokens: int = 0
    """Tokens that were not computed again, because texts share a prefix."""
    halved_batches: int = 0
    scoring_wall_s: float = 0.0

    def count(self, lengths: Sequence[int], texts: int, seconds: float) -> None:
        """Add one forward over rows of these lengths."""
        self.forward_passes += 1
        self.batched_prompts += texts
        self.max_batch_size = max(self.max_batch_size, texts)
        self.tokens += sum(lengths)
        self.padding_tokens += max(lengths) * len(lengths) - sum(lengths)
        self.scoring_wall_s += seconds

    def as_dict(self) -> dict[str, float]:
        """The names of dlm-sway's schema 1, and those of pytest-sway."""
        average = self.batched_prompts / self.forward_passes if self.forward_passes else 0.0
        return {**asdict(self), "batches_sent": self.forward_passes, "avg_batch_size": average}

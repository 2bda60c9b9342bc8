"""How much a round of requests makes a model compute, and how long this machine takes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pytest_sway.token_sequences import PackedRow


@dataclass(frozen=True)
class Workload:
    """What the forwards of a backend have to compute.

    Attributes:
        forwards: how many there are.
        tokens: that the layers read, padding included.
        positions: whose distributions over the vocabulary are made.
        steps: of continuations; each reads all weights for a token or a few.
        step_tokens: tokens of these steps.
        nulls: null adapters whose weights are made.
        largest: bytes that the largest batch takes beside the weights.
    """

    forwards: int = 0
    tokens: int = 0
    positions: int = 0
    steps: int = 0
    step_tokens: int = 0
    nulls: int = 0
    largest: int = 0

    def __add__(self, other: Workload) -> Workload:
        mine, theirs = asdict(self), asdict(other)
        sums = {name: mine[name] + theirs[name] for name in mine}
        return Workload(**{**sums, "largest": max(self.largest, other.largest)})

    @property
    def all_tokens(self) -> int:
        """Tokens that are read or written."""
        return self.tokens + self.step_tokens


@dataclass(frozen=True)
class Speed:
    """How long this machine takes, in seconds, each for one of a :class:`Workload`'s counts."""

    forward: float
    token: float
    position: float
    step: float
    step_token: float
    null: float

    def seconds(self, work: Workload) -> float:
        """What a workload takes."""
        return (
            work.forwards * self.forward
            + work.tokens * self.token
            + work.positions * self.position
            + work.steps * self.step
            + work.step_tokens * self.step_token
            + work.nulls * self.null
        )


def scoring_workload(batch: Sequence[PackedRow], views: int, token_bytes: int, vocabulary: int) -> Workload:
    """One batch of texts, scored by ``views`` views.

    Args:
        batch: its rows.
        views: how many score it; two or more are compared with the first.
        token_bytes: what a token of a batch takes beside the weights.
        vocabulary: width of a distribution; the first view's are held in fp32 till they are compared.
    """
    tokens = len(batch) * max(row.length for row in batch)
    positions = sum(text.positions for row in batch for text in row.texts)
    held = positions if views > 1 else 0
    return Workload(
        forwards=views,
        tokens=tokens * views,
        positions=positions * views,
        largest=tokens * token_bytes + held * vocabulary * 4,
    )


def continuation_workload(prompts: Sequence[int], count: int, token_bytes: int) -> Workload:
    """One batch of continuations: prompts of these lengths, ``count`` tokens each."""
    tokens = len(prompts) * max(prompts)
    return Workload(
        forwards=1,
        tokens=tokens,
        steps=count,
        step_tokens=count * len(prompts),
        largest=(tokens + count * len(prompts)) * token_bytes,
    )

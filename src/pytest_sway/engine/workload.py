"""How much a round of requests makes a model compute, and how long this machine takes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from pytest_sway.token_sequences import PackedRow, prefix_of_prompts


class TokenSizes(NamedTuple):
    """Bytes that a token of a batch takes beside the weights.

    Attributes:
        activations: while it is read.
        cache: of its keys and values, while a text is continued.
    """

    activations: int
    cache: int


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


def continuation_workload(
    prompts: Sequence[Sequence[int]], views: int, count: int, sizes: TokenSizes, *, shares_prefix: bool
) -> Workload:
    """One batch of continuations.

    Args:
        prompts: their token ids.
        views: how many views continue them.
        count: tokens of each continuation.
        sizes: what a token takes.
        shares_prefix: whether what all prompts begin with is read once for each view.
    """
    prefix = prefix_of_prompts(prompts, views) if shares_prefix else 0
    kept, step_tokens = len(prompts) * max(map(len, prompts)), count * len(prompts)
    tokens = kept - len(prompts) * prefix  # what is left to read after the prefix
    return Workload(
        forwards=1 + bool(prefix),
        tokens=tokens + views * prefix,
        steps=count,
        step_tokens=step_tokens,
        largest=kept * sizes.cache + max(tokens * sizes.activations, step_tokens * sizes.cache),
    )

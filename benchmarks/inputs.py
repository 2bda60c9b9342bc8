"""The texts that both sides score: made from a seed, alike in both interpreters, with known token counts.

The benchmark's tokenizer has one token per word (``w0``, ``w1``, …) and adds no special token, so the
number of words is the number of tokens and a completion begins where its first word does. This module
imports the standard library alone: neither product, nor torch.

Counts: *processed* is the smallest number of tokens that must go through the model's layers under one
view, without padding: the last token of a text whose continuation nobody asks for need not. *Shared*
counts a prompt of two completions once, *unshared* twice. *Scored* is the number of positions whose
distribution over the vocabulary is needed. *Pairs* are a token and one that it sees, itself included, with
prompts shared: what attention has to look at.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

RESERVED = 3
"""Ids below this are special tokens: padding, unknown, end of text."""
FLEET_PROMPTS = 32
FLEET_SIZE = 10
NULL_COUNTS = (3, 20)
NULL_SEED_BASES = {3: 1000, 20: 2000}
"""Populations of their own, so that neither count finds a null that the other one made."""
MADE_NULLS = 6
WRITTEN_PROMPTS = 12
LATER_FORWARDS = 2


@dataclass(frozen=True)
class Tokens:
    """Token counts of some work under one view."""

    shared: int
    unshared: int
    scored: int
    pairs: int

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.shared + other.shared,
            self.unshared + other.unshared,
            self.scored + other.scored,
            self.pairs + other.pairs,
        )


@dataclass(frozen=True)
class Prompt:
    """A text whose next-token distribution is asked for."""

    text: str

    @property
    def tokens(self) -> Tokens:
        """Every token is processed, one distribution is needed."""
        count = _count(self.text)
        return Tokens(count, count, 1, seen_pairs(count))


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt; each begins with the blank that parts it from the prompt."""

    prompt: str
    completions: tuple[str, str]

    @property
    def tokens(self) -> Tokens:
        """The prompt once or twice, both completions without their last tokens."""
        prompt, counts = _count(self.prompt), [_count(text) for text in self.completions]
        tails = sum(counts) - len(counts)
        pairs = seen_pairs(prompt) + sum(
            seen_pairs(prompt + count - 1) - seen_pairs(prompt) for count in counts
        )
        return Tokens(prompt + tails, len(counts) * prompt + tails, sum(counts), pairs)


@dataclass(frozen=True)
class Passage:
    """A text whose every token but the first is scored."""

    text: str

    @property
    def tokens(self) -> Tokens:
        """All tokens but the last are processed."""
        count = _count(self.text) - 1
        return Tokens(count, count, count, seen_pairs(count))


Item = Prompt | Pair | Passage


def total(items: Sequence[Item]) -> Tokens:
    """Token counts of all items under one view."""
    counts = Tokens(0, 0, 0, 0)
    for item in items:
        counts += item.tokens
    return counts


def short_prompts(vocabulary: int) -> list[Prompt]:
    """Scenario a: 64 prompts of 8 to 16 tokens."""
    return _prompts(random.Random("a"), vocabulary, 64, 8, 16)


def mixed(vocabulary: int) -> list[Item]:
    """Scenario b: 32 short prompts, 24 preference pairs and 12 passages of prose, shuffled."""
    rng = random.Random("b")
    items: list[Item] = [*_prompts(rng, vocabulary, 32, 8, 16)]
    for _ in range(24):
        prompt = _random_words(rng, vocabulary, rng.randint(30, 120))
        first, second = (" " + _random_words(rng, vocabulary, rng.randint(20, 60)) for _ in range(2))
        items.append(Pair(prompt, (first, second)))
    items += [Passage(_random_words(rng, vocabulary, rng.randint(200, 700))) for _ in range(12)]
    rng.shuffle(items)
    return items


def null_prompts(vocabulary: int, nulls: int) -> list[Prompt]:
    """Scenario c: 10 prompts; others for each number of nulls, so that no cache knows them."""
    return _prompts(random.Random(f"c{nulls}"), vocabulary, 10, 8, 16)


def null_uses(vocabulary: int) -> list[list[Passage]]:
    """Scenario c: for each null that is made, texts of one length: its first use and later ones."""
    rng = random.Random("uses")
    uses = 1 + LATER_FORWARDS
    return [[Passage(_random_words(rng, vocabulary, 16)) for _ in range(uses)] for _ in range(MADE_NULLS)]


def written_prompts(vocabulary: int) -> list[Prompt]:
    """Of ``writing.py``: 12 prompts of 8 to 16 tokens."""
    return _prompts(random.Random("writing"), vocabulary, WRITTEN_PROMPTS, 8, 16)


def fleet_prompts(vocabulary: int) -> list[Prompt]:
    """Scenario d: 32 prompts of 56 to 64 tokens."""
    return _prompts(random.Random("d"), vocabulary, FLEET_PROMPTS, 56, 64)


def warm_up(vocabulary: int) -> tuple[Prompt, Passage]:
    """Scored by each side before the clock starts: threads, kernels and pages are there by then."""
    rng = random.Random("warm")
    return Prompt(_random_words(rng, vocabulary, 12)), Passage(_random_words(rng, vocabulary, 200))


def _prompts(rng: random.Random, vocabulary: int, count: int, low: int, high: int) -> list[Prompt]:
    return [Prompt(_random_words(rng, vocabulary, rng.randint(low, high))) for _ in range(count)]


def _random_words(rng: random.Random, vocabulary: int, count: int) -> str:
    return " ".join(f"w{rng.randrange(RESERVED, vocabulary)}" for _ in range(count))


def seen_pairs(tokens: int) -> int:
    """Pairs of a token of a text and one that it sees, itself included."""
    return tokens * (tokens + 1) // 2


def _count(text: str) -> int:
    return len(text.split())

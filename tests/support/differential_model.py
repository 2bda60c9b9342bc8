"""A backend of dlm-sway's protocol: a bigram model of letters, without a line of pytest-sway's or dlm-sway's.

The base has seeded logits. The adapter has learned the alphabet: its file holds how much it adds to the logit
of the letter that comes next. A null adds random logits.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz "
OPENED: list[str] = []
"""The views that were opened, in order, with ``close`` where an object was closed."""


@dataclass(frozen=True)
class TokenDist:
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    vocab_size: int
    tail_logprob: float | None


@dataclass(frozen=True)
class RollingLogprob:
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    num_tokens: int
    total_logprob: float


def logits(seed: int, size: float) -> list[list[float]]:
    source = random.Random(seed)
    return [[source.gauss(0, size) for _ in LETTERS] for _ in LETTERS]


def alphabet(size: float) -> list[list[float]]:
    """The update of an adapter: to the logit of the letter behind each letter, and to no other one."""
    count = len(LETTERS)
    return [[size * (column == (row + 1) % count) for column in range(count)] for row in range(count)]


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) if letter in LETTERS else 0 for letter in text]


class LetterView:
    def __init__(self, rows: list[list[float]]) -> None:
        self._rows = [[x - math.log(sum(map(math.exp, row))) for x in row] for row in rows]

    def logprob_of(self, prompt: str, completion: str) -> float:
        return self._total(ids(prompt)[-1:] + ids(completion))

    def rolling_logprob(self, text: str) -> RollingLogprob:
        read = ids(text)
        each = tuple(self._rows[a][b] for a, b in itertools.pairwise(read))
        return RollingLogprob(tuple(read), each, len(read), sum(each))

    def next_token_dist(self, prompt: str, *, top_k: int = 256) -> TokenDist:
        row = self._rows[ids(prompt)[-1]]
        order = sorted(range(len(row)), key=lambda i: -row[i])[:top_k]
        rest = None if len(order) == len(row) else math.log(1 - sum(math.exp(row[i]) for i in order))
        return TokenDist(tuple(order), tuple(row[i] for i in order), len(row), rest)

    def generate(
        self, prompt: str, *, max_new_tokens: int, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> str:
        written = ""
        for _ in range(max_new_tokens):
            row = self._rows[ids(prompt + written)[-1]]
            written += LETTERS[row.index(max(row))]
        return written

    def _total(self, read: list[int]) -> float:
        return sum(self._rows[a][b] for a, b in itertools.pairwise(read))


class TwoViews:
    """The least that the protocol asks for."""

    view: type[LetterView] = LetterView

    def __init__(self, base_spec: Any, adapter_path: Path | None) -> None:
        assert base_spec.adapter == adapter_path
        self.spec = base_spec
        self.size = float(adapter_path.read_text()) if adapter_path is not None else 0.0
        self._is_open = False

    def as_base(self) -> Any:
        return self._open("base", alphabet(0.0))

    def as_finetuned(self) -> Any:
        return self._open("ft", alphabet(self.size))

    @contextmanager
    def _open(self, name: str, update: list[list[float]]) -> Iterator[LetterView]:
        if self._is_open:
            raise RuntimeError("a view is open")
        OPENED.append(name)
        self._is_open = True
        try:
            rows = zip(logits(0, 1.0), update, strict=True)
            yield self.view([[b + u for b, u in zip(x, y, strict=True)] for x, y in rows])
        finally:
            self._is_open = False


class AllViews(TwoViews):
    """With everything that the protocol knows."""

    def as_scaled_adapter(self, lam: float) -> Any:
        return self._open(f"scaled {lam:g}", alphabet(lam * self.size))

    def as_null_adapter(self, seed: int, *, init_scale: float = 0.02, rank_scale: float = 1.0) -> Any:
        return self._open(f"null {seed} {rank_scale:g}", logits(100 + seed, init_scale * rank_scale))

    def preflight_finite_check(self) -> tuple[bool, str]:
        return math.isfinite(self.size), f"the adapter's size is {self.size}"

    def close(self) -> None:
        OPENED.append("close")

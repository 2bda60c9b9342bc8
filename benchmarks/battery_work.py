"""Pytest plugin of ``battery_floor.py``: what a session had the HF backend compute, written as JSON.

``pytest -p battery_work`` with ``BENCH_WORK`` naming the file. Counted are the tokens that the layers cannot
do without (no padding), split by base and adapted views, scored positions, pairs of a token and one that it
sees, and the rows of every decoding step. ``backend_s`` is the time inside the backend's two primitives,
making of null adapters included.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from inputs import seen_pairs

_work: Counter[str] = Counter()
_steps: Counter[int] = Counter()
_seconds = {"backend_s": 0.0}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish() -> None:
    """Wrap the primitives once everything is imported that a session without models does not need."""
    from pytest_sway.backends.hf.backend import HFBackend
    from pytest_sway.token_sequences import prefix_of_prompts

    score, write = HFBackend.logprobs, HFBackend.generate

    def logprobs(self: Any, rows: Sequence[Any], view: Any, most: int) -> Iterator[Any]:
        side = "base" if view.is_base else "adapted"
        for row in rows:
            _work[f"{side}_tokens"] += row.length
            for text, shared in zip(row.texts, row.shared, strict=True):
                _work["positions"] += text.positions
                _work["pairs"] += seen_pairs(len(text.ids)) - seen_pairs(shared)
        found = score(self, rows, view, most)
        while True:
            began = perf_counter()
            piece = next(found, None)
            _seconds["backend_s"] += perf_counter() - began
            if piece is None:
                return
            yield piece

    def generate(self: Any, rows: Sequence[Any], views: Sequence[Any], most: int) -> list[Any]:
        began = perf_counter()
        written = write(self, rows, views, most)
        _seconds["backend_s"] += perf_counter() - began
        prefix = prefix_of_prompts(rows, len(set(views)))
        sides = Counter("base" if view.is_base else "adapted" for view in set(views))
        for side, count in sides.items():
            _work[f"{side}_tokens"] += prefix * count
        for row, view, new in zip(rows, views, written, strict=True):
            side = "base" if view.is_base else "adapted"
            _work[f"{side}_tokens"] += len(row) - prefix
            _work["pairs"] += seen_pairs(len(row) + len(new)) - seen_pairs(prefix)
            _work["positions"] += 1
        lengths = [min(most, len(new) + 1) for new in written]  # the token that ends a text too
        for step in range(1, max(lengths)):
            _steps[sum(length > step for length in lengths)] += 1
        return written

    HFBackend.logprobs, HFBackend.generate = logprobs, generate  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    """Write what was counted."""
    counted = {**_work, **_seconds, "steps": {str(rows): count for rows, count in sorted(_steps.items())}}
    Path(os.environ["BENCH_WORK"]).write_text(json.dumps(counted), encoding="utf-8")

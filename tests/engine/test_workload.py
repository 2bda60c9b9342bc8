"""What a round costs, by hand."""

from __future__ import annotations

from pytest_sway.engine.workload import (
    Speed,
    TokenSizes,
    Workload,
    continuation_workload,
    scoring_workload,
)
from pytest_sway.token_sequences import PackedRow, TokenSequence


def test_seconds_are_counts_times_speeds() -> None:
    work = Workload(forwards=2, tokens=30, positions=5, steps=7, step_tokens=11, nulls=3, largest=10**9)
    assert (
        Speed(1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0).seconds(work) == 2 + 300 + 500 + 7e3 + 11e4 + 3e5
    )
    assert work.all_tokens == 41


def test_the_largest_batch_counts_once() -> None:
    both = Workload(forwards=1, tokens=4, largest=7) + Workload(forwards=2, positions=5, largest=3)
    assert both == Workload(forwards=3, tokens=4, positions=5, largest=7)


def test_a_batch_of_texts() -> None:
    """Two rows of four tokens with padding; three and two positions; the first view's are held."""
    batch = [PackedRow((TokenSequence((1, 2, 3, 4), 1),)), PackedRow((TokenSequence((5, 6, 7), 1),))]
    one, two = (scoring_workload(batch, views, 100, 50) for views in (1, 2))
    assert one == Workload(forwards=1, tokens=8, positions=5, largest=800)
    assert two == Workload(forwards=2, tokens=16, positions=10, largest=800 + 5 * 50 * 4)


def test_a_batch_of_continuations() -> None:
    prompts = [tuple(range(20)), tuple(range(18))]
    sizes = TokenSizes(activations=10, cache=3)
    apart = continuation_workload(prompts, 1, 5, sizes, shares_prefix=False)
    assert apart == Workload(forwards=1, tokens=40, steps=5, step_tokens=10, largest=40 * 3 + 40 * 10)
    shared = continuation_workload(prompts, 1, 5, sizes, shares_prefix=True)
    assert shared == Workload(
        forwards=2, tokens=40 - 2 * 17 + 17, steps=5, step_tokens=10, largest=40 * 3 + max(6 * 10, 10 * 3)
    )

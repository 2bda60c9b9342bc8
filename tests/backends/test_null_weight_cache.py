"""Nulls that are needed together are kept together, and never more than the cache holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.null_weight_cache import NullWeightCache
from pytest_sway.requests import NullSeed

SEEDS = [NullSeed("norm_matched", draw, 0, 0.02) for draw in range(8)]


@given(st.integers(2, 6), st.lists(st.lists(st.sampled_from(SEEDS), unique=True, max_size=6), max_size=6))
def test_seeds_that_are_needed_together_stay(most: int, rounds: list[list[NullSeed]]) -> None:
    cache: NullWeightCache[int] = NullWeightCache(base=2 * most, each=1)
    assert cache.most == most
    for needed in (seeds[:most] for seeds in rounds):
        held_before = [seed for seed in needed if seed in cache._weights]
        others_before = len(cache) - len(held_before)
        cache.drop_others(needed)
        assert all(seed in cache._weights for seed in held_before)
        for seed in needed:
            assert cache.get(seed, lambda seed=seed: seed.draw) == seed.draw  # type: ignore[misc]
        assert set(needed) <= cache._weights.keys()
        assert len(cache) == min(most, others_before + len(needed))

"""Gradient norms of NaN and 0, and losses of 0: what they say of a run."""

from __future__ import annotations

import math

import pytest

from pytest_sway.training.gradient_norms import GradientNorms, gradient_norms
from pytest_sway.training.training_run import TrainingRun

NAN = math.nan


def of(norms: list[float | None], losses: list[float] | None = None) -> GradientNorms:
    steps = tuple(range(10, 10 * len(norms) + 10, 10))
    return gradient_norms(
        TrainingRun(
            "log", steps=steps, losses=tuple(losses or [1.0] * len(norms)), gradient_norms=tuple(norms)
        )
    )


@pytest.mark.parametrize(
    ("norms", "broken", "ends_lost", "many"),
    [
        ([1.0] * 40, False, False, False),
        ([math.inf, NAN, *[1.0] * 38], False, False, False),
        ([math.inf] * 5 + [1.0] * 35, False, False, True),
        ([1.0] * 39 + [NAN], False, True, False),
        ([1.0] * 38 + [NAN] * 2, False, True, False),
        ([1.0] * 37 + [NAN] * 3, True, False, False),
        ([NAN, NAN], True, False, False),
        ([None] * 40, False, False, False),
        ([], False, False, False),
    ],
    ids=["sound", "two skipped", "many skipped", "last", "last 5 %", "lost", "all", "none", "empty"],
)
def test_norms_that_are_no_numbers(
    norms: list[float | None], broken: bool, ends_lost: bool, many: bool
) -> None:
    found = of(norms)
    assert (found.broken, found.ends_lost, found.many_skipped) == (broken, ends_lost, many)


def test_where_they_are_lost_from() -> None:
    found = of([1.0, NAN, 1.0, NAN, math.inf])
    assert (found.lost_from, found.lost, found.non_finite) == (40, 2, 3)


def test_norms_of_zero() -> None:
    assert of([0.0, 0.0]).all_zero
    assert not of([0.0, 1e-9]).all_zero
    assert not of([None, None]).all_zero


@pytest.mark.parametrize(
    ("norms", "losses", "start"),
    [
        ([], [1.0, 0.0, 0.0], 20),
        ([], [0.0, 0.0], 10),
        ([], [1.0, 0.0, 0.5], None),
        ([], [1.0, 0.005, 0.0], None),
        ([1.0, 0.1, 0.01], [1.0, 0.0, 0.0], None),
    ],
    ids=["dropped", "throughout", "came back", "learned", "with norms"],
)
def test_losses_of_zero(norms: list[float | None], losses: list[float], start: int | None) -> None:
    steps = tuple(range(10, 10 * len(losses) + 10, 10))
    run = TrainingRun("log", steps=steps, losses=tuple(losses), gradient_norms=tuple(norms))
    assert gradient_norms(run).zero_loss_from == start

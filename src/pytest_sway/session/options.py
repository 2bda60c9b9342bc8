"""The command line's values, checked before anything is collected."""

from __future__ import annotations

import pytest

from pytest_sway.session.compose import Options
from pytest_sway.statistics.composite import CATEGORY_WEIGHTS


def options_of(config: pytest.Config) -> Options:
    """The options that the controller needs.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    return Options(_threshold(config.getoption("sway_threshold")), _weights(config.getoption("sway_weights")))


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise pytest.UsageError(f"--sway-threshold={text}: write a number in [0, 1], e.g. 0.6")
    return value


def _weights(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        value = _number(number)
        if not equals or value is None or not 0 <= value < float("inf"):
            raise pytest.UsageError(
                f"--sway-weights={text}: found {part.strip()!r}, write CATEGORY=WEIGHT with a finite "
                "weight ≥ 0, e.g. adherence=0.5,ablation=0"
            )
        if name not in CATEGORY_WEIGHTS:
            known = ", ".join(CATEGORY_WEIGHTS)
            raise pytest.UsageError(f"--sway-weights: unknown category {name!r}; known: {known}")
        weights[name] = value
    if not sum({**CATEGORY_WEIGHTS, **weights}.values()):
        raise pytest.UsageError(f"--sway-weights={text}: the weights sum to 0")
    return weights


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

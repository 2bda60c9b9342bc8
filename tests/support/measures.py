"""A measure driven by hand: nothing is cached and no request is hashed, so its own time is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_sway.engine.drive import Measure
from pytest_sway.requests import Request
from pytest_sway.result import Measurement


def driven(measure: Measure, answer: Callable[[Request[Any]], Any]) -> Measurement:
    """The measurement, every request being answered by ``answer``."""
    asked = measure.send(None)
    while True:
        try:
            asked = measure.send([answer(request) for request in asked])
        except StopIteration as done:
            return done.value

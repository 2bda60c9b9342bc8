"""A planner's answers, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_sway.engine.planner import Planner
from pytest_sway.engine.planner_events import FinishedBatch
from pytest_sway.engine.server_planner import ServerPlanner
from pytest_sway.requests import Request


def planner_answers(
    planner: Planner | ServerPlanner, requests: Sequence[Request[Any]]
) -> dict[Request[Any], Any]:
    """Every request's answer."""
    answers: dict[Request[Any], Any] = {}
    for event in planner.answer(requests):
        if isinstance(event, FinishedBatch):
            answers.update(event.answers)
    return answers

"""Runs several measures together, round by round."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from pytest_sway.requests import Request
from pytest_sway.result import Measurement

Measure = Coroutine[tuple[Request[Any], ...], Any, Measurement]
Answer = Callable[[Sequence[Request[Any]]], Mapping[Request[Any], Any]]


def drive(
    measures: Sequence[Measure], answer: Answer, *, first_ends_all: bool = False
) -> list[Measurement | Exception]:
    """Drive measures to their end; what one raises is its outcome and stops no other.

    Each round collects what every live measure asks, answers it at once, and sends the answers in. An
    answer that is an exception is raised inside the measures that asked for it.

    Args:
        measures: coroutines that await nothing but :func:`pytest_sway.requests.ask`.
        answer: maps a round's requests, duplicates included, to their answers.
        first_ends_all: what the first measure raises is raised at once, since the others serve it.
    """
    outcomes: dict[int, Measurement | Exception] = {}
    waiting: dict[int, tuple[Request[Any], ...]] = {}

    def advance(index: int, step: Callable[[], tuple[Request[Any], ...]]) -> None:
        try:
            waiting[index] = step()
        except StopIteration as done:
            outcomes[index] = done.value
        except Exception as error:
            if first_ends_all and index == 0:
                raise
            outcomes[index] = error

    try:
        for index, measure in enumerate(measures):
            advance(index, lambda measure=measure: measure.send(None))  # type: ignore[misc]
        while waiting:
            asked, waiting = waiting, {}
            answers = answer([request for requests in asked.values() for request in requests])
            for index, requests in asked.items():
                advance(index, _resume(measures[index], [answers[r] for r in requests]))
    finally:
        for measure in measures:
            measure.close()
    return [outcomes[index] for index in range(len(measures))]


def _resume(measure: Measure, answers: list[Any]) -> Callable[[], tuple[Request[Any], ...]]:
    failed = next((a for a in answers if isinstance(a, Exception)), None)
    if failed is not None:
        return lambda: measure.throw(failed)
    return lambda: measure.send(answers)

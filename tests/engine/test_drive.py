"""Driving measures: rounds, order, and failures that stay where they belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import (
    Divergence,
    Generate,
    Generation,
    NullSeed,
    Request,
    RequestError,
    View,
    Views,
    ask,
)
from pytest_sway.result import Measurement

BASE, TUNED = View("b"), View("b", "a")


def length(requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
    """Answers a generation with its prompt's length."""
    return {r: len(r.prompt) for r in requests if isinstance(r, Generate)}


async def chain(words: list[str]) -> Measurement:
    """Asks one after the other, each depending on the last answer."""
    total = 0
    for word in words:
        (answer,) = await ask([Generate(word * (total + 1), BASE, 1)])
        total += answer  # type: ignore[operator]
    return Measurement(raw=float(total))


def alone_in_engine(words: list[str]) -> float:
    total = 0
    for word in words:
        total += len(word) * (total + 1)
    return float(total)


@given(st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=4), min_size=1, max_size=5))
def test_together_is_the_same_as_alone(programs: list[list[str]]) -> None:
    found = drive([chain(words) for words in programs], length)
    assert [m.raw for m in found if isinstance(m, Measurement)] == [alone_in_engine(w) for w in programs]


def test_one_round_is_answered_at_once() -> None:
    rounds = []

    def answer(requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        rounds.append(len(requests))
        return length(requests)

    drive([chain(["a", "b"]), chain(["c"]), chain([])], answer)
    assert rounds == [2, 1]


def test_a_failure_is_the_outcome_of_its_own_measure() -> None:
    async def broken() -> Measurement:
        raise ValueError("mine")

    failed, fine = drive([broken(), chain(["ab"])], length)
    assert isinstance(failed, ValueError)
    assert isinstance(fine, Measurement)
    assert fine.raw == 2.0


@pytest.mark.parametrize("words", [[], ["ab"]])
def test_what_the_first_one_raises_may_end_all(words: list[str]) -> None:
    rounds = []

    def answer(requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        rounds.append(len(requests))
        return length(requests)

    async def broken() -> Measurement:
        await chain(words)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        drive([broken(), chain(["a", "b", "c"])], answer, first_ends_all=True)
    assert len(rounds) == len(words)
    failed, fine = drive([chain(["ab"]), broken()], length, first_ends_all=True)
    assert isinstance(failed, Measurement)
    assert isinstance(fine, ValueError)


def test_an_exception_as_answer_is_raised_where_asked() -> None:
    async def careful() -> Measurement:
        try:
            await ask([Generate("x", BASE, 1)])
        except RequestError as error:
            return Measurement(raw=None, evidence={"told": str(error)})
        return Measurement(raw=1.0)

    (found,) = drive([careful()], lambda rs: {r: RequestError("no room") for r in rs})
    assert isinstance(found, Measurement)
    assert found.evidence == {"told": "no room"}


def test_an_interrupt_is_nobodys_outcome() -> None:
    async def interrupted() -> Measurement:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive([interrupted()], length)


class Moved:
    name = "moved"

    """A probe: one divergence."""

    async def measure(self, views: Views) -> Measurement:
        (moved,) = await ask([Divergence("p", views.base, views.tuned)])
        return Measurement(raw=moved)

    measure_null = measure


def null(draw: int) -> View:
    return View("b", "a", NullSeed("norm_matched", draw, 0, 0.02))


def test_equal_requests_are_answered_once_and_cached() -> None:
    asked: list[Request[Any]] = []

    def answer(request: Request[Any]) -> float:
        asked.append(request)
        return 0.5

    engine = Engine(FakeBackend(answer))
    for _ in range(2):
        engine.run(Moved(), Views(BASE, TUNED, TUNED), [null(0), null(0), null(1)])
    assert len(asked) == len(set(asked)) == 3
    assert (engine.hits, engine.misses) == (5, 3)


def test_a_failing_null_is_one_draw_less_and_is_named() -> None:
    def answer(request: Request[Any]) -> float:
        seed = request.views[1].null
        if seed is not None and seed.draw == 1:
            raise RequestError("out of luck")
        return float("nan") if seed is not None and seed.draw == 2 else 0.5

    found = Engine(FakeBackend(answer)).run(Moved(), Views(BASE, TUNED, TUNED), [null(i) for i in range(4)])
    assert len(found.nulls.measured) == 2
    assert list(found.nulls.failed.values()) == [
        "null_1: out of luck",
        "null_2: its values are not finite (NaN or infinity)",
    ]


def test_an_error_is_never_cached() -> None:
    broken = True

    def answer(request: Request[Any]) -> Any:
        if broken:
            raise RequestError("not yet")
        return Generation("t", (1,))

    engine = Engine(FakeBackend(answer))
    request = Generate("p", BASE, 1)
    assert isinstance(engine.answer([request])[request], RequestError)
    broken = False
    assert engine.answer([request])[request] == Generation("t", (1,))

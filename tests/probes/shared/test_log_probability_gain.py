"""The same completions under base and adapter."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.shared.log_probability_gain import (
    score_answers,
    score_groups_apart,
    score_texts,
    shortfall,
)
from pytest_sway.requests import Completion, CompletionScore, Request, RequestError, View, Views

BASE, TUNED = View("b"), View("b", "a")
VIEWS = Views(BASE, TUNED, TUNED)


def run(measure: Coroutine[Any, Any, Any], answer: Callable[[Request[Any]], Any]) -> Any:
    (found,) = drive([measure], Engine(FakeBackend(answer)).answer)
    if isinstance(found, Exception):
        raise found
    return found


def by_length(request: Request[Any]) -> Any:
    """Each character is a token, of -2 nats for the base and -1 for the adapter; 30 are the context."""
    assert isinstance(request, Completion)
    if len(request.prompt) + len(request.completion) > 30 and request.prompt:
        raise RequestError("longer than the context")
    if "bad" in request.completion:
        raise RequestError("bad text")
    n = len(request.completion)
    return CompletionScore(-n * (1.0 if request.view == TUNED else 2.0), n)


def asked(*texts: str) -> list[Completion]:
    return [Completion("", text, BASE) for text in texts]


def test_both_views_in_one_round() -> None:
    ((one, two), (three,)) = run(score_answers([asked("ab", "abc"), asked("a")], VIEWS), by_length)
    assert (one.base, one.tuned, one.tokens, one.log_probability_gain, one.gain_per_token) == (
        -4.0,
        -2.0,
        2,
        2.0,
        1.0,
    )
    assert (two.log_probability_gain, three.log_probability_gain) == (3.0, 1.0)


def test_no_group_asks_nothing() -> None:
    assert run(score_answers([], VIEWS), by_length) == []


def test_what_cannot_be_scored_stands_apart() -> None:
    groups = [asked("a", "ab"), asked("a", "bad"), asked("abc"), asked("bad")]
    one, two, three, four = run(score_groups_apart(groups, VIEWS), by_length)
    assert [s.log_probability_gain for s in one] == [1.0, 2.0]
    assert [s.log_probability_gain for s in three] == [3.0]
    assert isinstance(two, RequestError)
    assert str(four) == "bad text"


def test_the_gains_of_a_text_are_those_of_the_whole() -> None:
    pieces = ["One two.", " Three.", " Four."]
    (found,) = run(score_texts([pieces], VIEWS), by_length)
    assert sum(one.log_probability_gain for one in found) == len("".join(pieces))


def test_a_text_beyond_the_context_is_read_in_shorter_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.probes.shared.log_probability_gain.WIDEST", 100)
    monkeypatch.setattr("pytest_sway.probes.shared.log_probability_gain.NARROWEST", 20)
    (found,) = run(score_texts([["x" * 10, " " + "y" * 10, " " + "z" * 10]], VIEWS), by_length)
    assert [one.tokens for one in found] == [10, 11, 10]  # the third begins a stretch, without its blank


def test_what_fits_no_stretch_is_reported() -> None:
    with pytest.raises(RequestError, match="bad text"):
        run(score_texts([["bad"]], VIEWS), by_length)


def test_shortfall_is_a_half_at_the_floor() -> None:
    assert shortfall(0.2, 0.2) == 0.5
    assert shortfall(-1.0, 0.2) == 1.0
    assert shortfall(0.6, 0.2) == pytest.approx(0.25)

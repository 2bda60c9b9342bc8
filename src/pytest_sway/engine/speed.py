"""A few forwards of this model on this machine: how long a token, a position and a step take."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.memory_limits import MemoryLimits
from pytest_sway.engine.workload import Speed
from pytest_sway.requests import View
from pytest_sway.token_sequences import PackedRow, TokenSequence

SHORT = 16
"""Tokens of a text that takes hardly longer than a forward takes by itself."""
_ENOUGH_S = 0.2
"""A text that takes this long is long enough to be timed."""
_LENGTHS = (128, 512)
_ROWS, _STEPS, _PROMPT = 16, 3, 2
"""Of the continuations: rows, steps that are timed, and tokens of a prompt."""


def measure_speed(backend: WeightsBackend, tuned: View, null: View | None, limits: MemoryLimits) -> Speed:
    """Time a few forwards and a few steps of a continuation.

    Args:
        backend: whose weights are in memory.
        tuned: the adapter.
        null: one null adapter, whose weights are made; None where there is none.
        limits: of a batch.
    """
    short = time_of_forward(backend, tuned)
    most = min(_LENGTHS[-1], limits.tokens, backend.context or _LENGTHS[-1])
    for length in sorted({min(length, most) for length in _LENGTHS}):
        long = _time_of_text(backend, _text(backend, length, length - 1), tuned)
        if long >= _ENOUGH_S:
            break
    token = max(0.0, long - short) / (length - SHORT) if length > SHORT else short / SHORT
    forward = max(0.0, short - SHORT * token)
    some = min(length, 64)
    all_positions = _text(backend, some, 0)
    one = _time_of_text(backend, _text(backend, some, some - 1), tuned)
    position = max(0.0, _time_of_text(backend, all_positions, tuned) - one) / some
    made = 0.0
    if null is not None:
        made = max(0.0, _time_of_new_null(backend, null) - short)
    step, step_token = _time_of_steps(backend, tuned)
    return Speed(forward, token, position, step, step_token, made)


def time_of_forward(backend: WeightsBackend, view: View) -> float:
    """Seconds of a forward over :data:`SHORT` tokens."""
    return _time_of_text(backend, _text(backend, SHORT, SHORT - 1), view)


def _time_of_text(backend: WeightsBackend, text: TokenSequence, view: View) -> float:
    def score() -> None:
        with backend.memory_guard():
            for _ in backend.logprobs([PackedRow((text,))], view, max(SHORT, text.positions)):
                pass

    return _timed(score)


def _time_of_new_null(backend: WeightsBackend, null: View) -> float:
    """Of a short forward, and of the weights that are made before it: once, since they are kept."""
    began = time.perf_counter()
    with backend.memory_guard():
        for _ in backend.logprobs([PackedRow((_text(backend, SHORT, SHORT - 1),))], null, SHORT):
            pass
    return time.perf_counter() - began


def _time_of_steps(backend: WeightsBackend, view: View) -> tuple[float, float]:
    """Seconds per step, and per token of a step."""
    times = []
    for rows in (1, _ROWS):
        prompts = [_text(backend, _PROMPT, 0, shift=row).ids for row in range(rows)]
        few, more = (_time_of_continuations(backend, prompts, view, steps) for steps in (1, 1 + _STEPS))
        times.append((more - few) / _STEPS)
    one, several = times
    each = max(0.0, several - one) / (_ROWS - 1)
    return max(0.0, one - each), each


def _time_of_continuations(
    backend: WeightsBackend, prompts: list[tuple[int, ...]], view: View, steps: int
) -> float:
    began = time.perf_counter()
    with backend.memory_guard():
        backend.generate(prompts, [view] * len(prompts), steps)
    return time.perf_counter() - began


def _text(backend: WeightsBackend, length: int, first: int, shift: int = 0) -> TokenSequence:
    """A text of any tokens."""
    return TokenSequence(tuple((37 * (k + shift)) % backend.vocabulary for k in range(1, length + 1)), first)


def _timed(run: Callable[[], None]) -> float:
    """The shorter of two times: what else runs on the machine can only add to it."""
    times = []
    for _ in range(2):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)

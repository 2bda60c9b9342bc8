"""A second of this model on this machine: how long a token, a position and a step take."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.batch_scoring import score_batch
from pytest_sway.engine.memory_limits import MemoryLimits
from pytest_sway.engine.scoring_jobs import Job
from pytest_sway.engine.workload import Speed
from pytest_sway.requests import Divergence, View, Views
from pytest_sway.token_sequences import PackedRow, TokenSequence

SHORT = 16
"""Tokens of a text that takes hardly longer than a forward takes by itself."""
_ENOUGH_S = 0.3
"""A text that takes this long is long enough to be timed."""
_LONGEST = 512
_ROWS, _STEPS, _PROMPT = 16, 4, 2
"""Of the continuations: rows, steps that are timed, and tokens of a prompt."""


def measure_speed(backend: WeightsBackend, views: Views, null: View | None, limits: MemoryLimits) -> Speed:
    """Time a few forwards and a few steps of a continuation.

    Args:
        backend: whose weights are in memory.
        views: base and adapter.
        null: one null adapter, whose weights are made; None where there is none.
        limits: of a batch.
    """
    tuned = views.tuned
    short = time_of_forward(backend, tuned)
    length, long = SHORT, short
    most = min(_LONGEST, limits.tokens, backend.context or _LONGEST)
    while long < _ENOUGH_S and 2 * length <= most:
        length *= 2
        long = _time_of_text(backend, _text(backend, length, length - 1), tuned)
    token = max(0.0, long - short) / (length - SHORT) if length > SHORT else short / SHORT
    forward = max(0.0, short - SHORT * token)
    some = min(length, 64)
    all_positions = _text(backend, some, 0)
    one = _time_of_text(backend, _text(backend, some, some - 1), tuned)
    position = max(0.0, _time_of_text(backend, all_positions, tuned) - one) / some
    pair = _timed(lambda: _compare(backend, all_positions, views, limits))
    compared = max(0.0, pair - 2 * (one + some * position)) / some
    made = 0.0
    if null is not None:
        made = max(0.0, _time_of_text(backend, _text(backend, SHORT, SHORT - 1), null) - short)
    step, step_token = _time_of_steps(backend, tuned)
    return Speed(forward, token, position, compared, step, step_token, made)


def time_of_forward(backend: WeightsBackend, view: View) -> float:
    """Seconds of a forward over :data:`SHORT` tokens: of the second one, since the first is no measure."""
    text = _text(backend, SHORT, SHORT - 1)
    return [_time_of_text(backend, text, view) for _ in range(2)][-1]


def _time_of_text(backend: WeightsBackend, text: TokenSequence, view: View) -> float:
    def score() -> None:
        with backend.memory_guard():
            for _ in backend.logprobs([PackedRow((text,))], view, max(SHORT, text.positions)):
                pass

    return _timed(score)


def _compare(backend: WeightsBackend, text: TokenSequence, views: Views, limits: MemoryLimits) -> None:
    job = Job(Divergence("", views.base, views.tuned), text)
    with backend.memory_guard():
        for _ in score_batch(backend, [PackedRow((text,))], [job], limits.piece):
            pass


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
    def write() -> None:
        with backend.memory_guard():
            backend.generate(prompts, [view] * len(prompts), steps)

    return _timed(write)


def _text(backend: WeightsBackend, length: int, first: int, shift: int = 0) -> TokenSequence:
    """A text of any tokens."""
    return TokenSequence(tuple((37 * (k + shift)) % backend.vocabulary for k in range(1, length + 1)), first)


def _timed(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

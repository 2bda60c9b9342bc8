"""Half a second of this model on this machine: how long a token, a position and a step take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.batch_scoring import score_batch
from pytest_sway.engine.memory_limits import MemoryLimits
from pytest_sway.engine.scoring_jobs import Job
from pytest_sway.engine.workload import Speed
from pytest_sway.requests import Divergence, View, Views
from pytest_sway.token_sequences import PackedRow, TokenSequence

_ENOUGH_S = 0.12
"""A text that takes this long is long enough to be timed."""
_SHORT, _LONGEST = 16, 1024
_ROWS, _STEPS = 8, 4


def measure_speed(backend: WeightsBackend, views: Views, null: View | None, limits: MemoryLimits) -> Speed:
    """Time a few forwards and a few steps of a continuation.

    Args:
        backend: whose weights are in memory.
        views: base and adapter.
        null: one null adapter, whose weights are made; None where there is none.
        limits: of a batch.
    """

    def score(text: TokenSequence, *which: View) -> float:
        sides = which if len(which) == 2 else (*which, *which)
        jobs = [Job(Divergence("", sides[0], sides[1]), text)] if len(which) == 2 else []
        rows = [PackedRow((text,))]
        if not jobs:
            return _timed(lambda: [piece for *_, piece in backend.logprobs(rows, which[0], limits.piece)])
        return _timed(lambda: list(score_batch(backend, rows, jobs, limits.piece)))

    tuned = views.tuned
    with backend.memory_guard():
        score(_text(backend, _SHORT, _SHORT - 1), tuned)  # the first forward of a process is no measure
        short = score(_text(backend, _SHORT, _SHORT - 1), tuned)
        length, long = _SHORT, short
        while long < _ENOUGH_S and length < min(_LONGEST, limits.tokens, backend.context or _LONGEST):
            length *= 2
            long = score(_text(backend, length, length - 1), tuned)
        token = max(0.0, long - short) / (length - _SHORT) if length > _SHORT else short / _SHORT
        forward = max(0.0, short - _SHORT * token)
        every = min(length, 64)
        position = max(0.0, score(_text(backend, every, 0), tuned) - forward - every * token) / every
        pair = score(_text(backend, every, 0), views.base, tuned)
        compared = max(0.0, pair - 2 * (forward + every * (token + position))) / every
        made = score(_text(backend, _SHORT, _SHORT - 1), null) - short if null is not None else 0.0
        step, step_token = _time_of_steps(backend, tuned, forward, token)
    return Speed(forward, token, position, compared, step, step_token, max(0.0, made))


def _time_of_steps(backend: WeightsBackend, view: View, forward: float, token: float) -> tuple[float, float]:
    """Seconds per step, and per token of a step."""
    times = []
    for rows in (1, _ROWS):
        prompts = [_text(backend, _SHORT, 0, shift=row).ids for row in range(rows)]
        spent = _timed(lambda prompts=prompts: backend.generate(prompts, [view] * len(prompts), _STEPS))  # type: ignore[misc]
        times.append(max(0.0, spent - forward - rows * _SHORT * token) / _STEPS)
    one, several = times
    each = max(0.0, several - one) / (_ROWS - 1)
    return max(0.0, one - each), each


def _text(backend: WeightsBackend, length: int, first: int, shift: int = 0) -> TokenSequence:
    """A text of any tokens."""
    return TokenSequence(tuple((37 * (k + shift)) % backend.vocabulary for k in range(1, length + 1)), first)


def _timed(run: Callable[[], Sequence[object]]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

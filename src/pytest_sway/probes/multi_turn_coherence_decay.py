"""multi_turn_coherence_decay: does the adapter's influence fade as a dialogue goes on?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from pytest_sway.probes.asking import distinct
from pytest_sway.probes.base import Claim, Judgement, Nulls, Probe, ProbeOptions
from pytest_sway.probes.rules import SHAPE_SCORE, Signal, no_signal, signal
from pytest_sway.requests import Divergence, Generate, Turn, View, Views, ask
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.intervals import Interval, t_interval

FOLLOW_UPS = [
    "Tell me more.",
    "Continue.",
    "What comes next?",
    "Why is that?",
    "Give an example.",
    "What else should I know?",
    "Summarise that in one sentence.",
]
_MIN_DIALOGUES, _MIN_TURNS = 4, 3
_STABLE_FACTOR = 10
_SPARKS = "▁▂▃▄▅▆▇█"


class MultiTurnOptions(ProbeOptions):
    """Options of ``multi_turn_coherence_decay``."""

    prompts: list[str] = Field(min_length=1)
    max_turns: int = Field(default=4, ge=2, le=8)
    max_new_tokens: int = Field(default=96, ge=1)
    follow_ups: list[str] = Field(default=FOLLOW_UPS, min_length=1)
    divergence: Literal["js", "kl"] = "kl"
    top_k: int | None = Field(default=None, ge=1)
    positions: int = Field(default=8, ge=1, le=1024)
    min_signal: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    assert_half_life_turns: float = Field(default=2.0, gt=0, allow_inf_nan=False)


class _Exchange(NamedTuple):
    """What stood before the author's reply at one turn, and the reply."""

    history: tuple[Turn, ...]
    reply: tuple[int, ...]


class MultiTurnCoherenceDecay(Probe[MultiTurnOptions]):
    """Divergence per turn along the adapter's own dialogues, and how fast it decays.

    The adapter answers ``prompts`` greedily for ``max_turns`` turns (follow-ups cycled, one chat
    template). At turns 2..N, on that same text, d = mean KL(base ‖ tuned) over the first ``positions``
    positions of its reply. The slope b of log d on the turn is fitted per dialogue; raw = half-life
    ln 2 / -b in turns, capped at 10 × max_turns where it does not decay. Shape: passes when the t
    interval of b over dialogues lies above -ln 2 / ``assert_half_life_turns``; fails when at the last
    turn d is within its null *there* (below the floor, where there is no null); else warns. Fewer than 4
    dialogues or 3 turns decide nothing.
    """

    kind, category, claim = "multi_turn_coherence_decay", "adherence", Claim.SHAPE
    requires = frozenset({"divergence", "generate", "chat_template"})
    scale = "inverse_root"

    async def measure(self, options: MultiTurnOptions, views: Views) -> Measurement:
        """One divergence per dialogue and turn."""
        dialogues = await _dialogues(options, views.author)
        flat = await ask(
            [
                Divergence(
                    turn.history,
                    views.base,
                    views.tuned,
                    options.divergence,
                    turn.reply[: options.positions - 1],
                )
                for dialogue in dialogues
                for turn in dialogue[1:]
            ]
        )
        width = options.max_turns - 1
        curves = [flat[i : i + width] for i in range(0, len(flat), width)]
        per_turn = [fmean(column) for column in zip(*curves, strict=True)]
        slopes = _slopes(curves)
        decay = t_interval(slopes)
        return Measurement(
            raw=_half_life(fmean(slopes), options.max_turns) if slopes else None,
            samples=tuple(slopes),
            statistics={"signal": per_turn[0], "last": per_turn[-1]},
            evidence={
                "per_turn_kls": per_turn,
                "turns_axis": list(range(2, options.max_turns + 1)),
                "fit_status": _fit_status(slopes, decay, options.max_turns),
                "divergence_kind": options.divergence,
                "sparkline": _sparkline(per_turn),
                "max_turns": options.max_turns,
                "num_prompts": len(curves),
                "log_slope_per_turn": fmean(slopes) if slopes else None,
                "reply_tokens": [[len(turn.reply) for turn in d] for d in dialogues],
            },
        )

    def judge(self, options: MultiTurnOptions, measured: Measurement, nulls: Nulls | None) -> Judgement:
        """The shape rule."""
        found = signal(measured, nulls, "signal", options.min_signal)
        if not found.present:
            return no_signal(found)
        last = signal(measured, nulls, "last", options.min_signal)
        interval = t_interval(measured.samples)
        limit = -math.log(2) / options.assert_half_life_turns
        line = measured.evidence["sparkline"]
        if len(measured.samples) < _MIN_DIALOGUES or options.max_turns <= _MIN_TURNS:
            verdict = Verdict.WARN
            message = f"{line} undecided: it takes {_MIN_DIALOGUES} dialogues of {_MIN_TURNS + 1} turns"
        elif last.within_null:
            verdict = Verdict.FAIL
            message = f"{line} gone by turn {options.max_turns}: {last.text} is within its null there"
        elif interval is not None and interval.low > limit:
            verdict, message = Verdict.PASS, f"{line} {_pace(measured, options)}"
        else:
            verdict = Verdict.WARN
            message = f"{line} {_doubt(measured, interval, options)}{_still(last)}"
        return Judgement(
            verdict,
            message,
            SHAPE_SCORE[verdict],
            interval=_half_life_interval(interval, options.max_turns),
            prediction=found.prediction,
        )


async def _dialogues(options: MultiTurnOptions, author: View) -> list[list[_Exchange]]:
    """Every dialogue in full, written by ``author``, all of them turn by turn together."""
    histories: list[tuple[Turn, ...]] = [(Turn("user", prompt),) for prompt in distinct(options.prompts)]
    dialogues: list[list[_Exchange]] = [[] for _ in histories]
    for turn in range(options.max_turns):
        replies = await ask([Generate(h, author, options.max_new_tokens) for h in histories])
        for dialogue, history, reply in zip(dialogues, histories, replies, strict=True):
            dialogue.append(_Exchange(history, reply.ids))
        follow_up = Turn("user", options.follow_ups[turn % len(options.follow_ups)])
        histories = [
            (*history, Turn("assistant", reply.text), follow_up)
            for history, reply in zip(histories, replies, strict=True)
        ]
    return dialogues


def _slopes(curves: Sequence[Sequence[float]]) -> list[float]:
    """Slope of log d on the turn per dialogue; a dialogue with a zero, or one turn, has none."""
    usable = [curve for curve in curves if len(curve) > 1 and min(curve) > 0]
    return [float(np.polyfit(np.arange(len(c)), np.log(c), 1)[0]) for c in usable]


def _half_life(slope: float, max_turns: int) -> float:
    cap = float(_STABLE_FACTOR * max_turns)
    return min(math.log(2) / -slope, cap) if slope < 0 else cap


def _half_life_interval(slope: Interval | None, max_turns: int) -> Interval | None:
    if slope is None:
        return None
    return Interval(_half_life(slope.low, max_turns), _half_life(slope.high, max_turns))


def _fit_status(slopes: Sequence[float], interval: Interval | None, max_turns: int) -> str:
    """The contract's word: degenerate, stable, non_monotonic (it grows) or ok (it decays)."""
    if not slopes:
        return "degenerate"
    if interval is not None and interval.low > 0:
        return "non_monotonic"
    stable = _half_life(fmean(slopes), max_turns) >= _STABLE_FACTOR * max_turns
    return "stable" if stable else "ok"


def _pace(measured: Measurement, options: MultiTurnOptions) -> str:
    half_life = measured.raw or 0.0
    if half_life >= _STABLE_FACTOR * options.max_turns:
        return "no decay over the dialogue"
    return f"half-life {half_life:.1f} turns (wanted {options.assert_half_life_turns:g})"


def _doubt(measured: Measurement, interval: Interval | None, options: MultiTurnOptions) -> str:
    """Why it does not pass: it decays too fast, or that it does not is not sure."""
    pace = _pace(measured, options)
    if interval is None or (measured.raw or 0.0) < options.assert_half_life_turns:
        return f"decays: {pace}"
    least = _half_life(interval.low, options.max_turns)
    return f"{pace}, but only {least:.1f} is sure: add dialogues"


def _still(last: Signal) -> str:
    ratio = last.prediction.ratio if last.prediction is not None else None
    return f"; at the last turn {ratio:.1f} times its null" if ratio is not None else ""


def _sparkline(values: Sequence[float]) -> str:
    top = max(values)
    if top <= 0 or not all(map(math.isfinite, values)):
        return _SPARKS[0] * len(values)
    return "".join(_SPARKS[round(v / top * (len(_SPARKS) - 1))] for v in values)

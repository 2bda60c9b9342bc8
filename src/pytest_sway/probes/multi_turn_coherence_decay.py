"""multi_turn_coherence_decay: does the adapter's influence fade as a dialogue goes on?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeContext
from pytest_sway.probes.judging.decay import MIN_CURVES, DecayCriteria, judge_decay, log_slopes
from pytest_sway.probes.judging.shape_signal import SIGNAL_Z, require_signal
from pytest_sway.probes.judging.thresholds import Floor
from pytest_sway.probes.shared.item_options import Positions, PromptOptions
from pytest_sway.probes.shared.questions import as_turns, distinct
from pytest_sway.requests import Divergence, Generate, Turn, View, Views, ask
from pytest_sway.result import Claim, Measurement

FOLLOW_UPS = [
    "Tell me more.",
    "Continue.",
    "What comes next?",
    "Why is that?",
    "Give an example.",
    "What else should I know?",
    "Summarise that in one sentence.",
]
_MIN_TURNS = 3
_SPARKS = "▁▂▃▄▅▆▇█"


class MultiTurnOptions(PromptOptions):
    """Options of ``multi_turn_coherence_decay``."""

    quick_items: ClassVar = 0

    max_turns: int = Field(default=4, ge=2, le=8)
    max_new_tokens: int = Field(default=96, ge=1)
    follow_ups: list[str] = Field(default=FOLLOW_UPS, min_length=1)
    divergence: Literal["js", "kl"] = "kl"
    top_k: int | None = None
    positions: Positions = 8
    min_signal: Floor = 0.02
    assert_half_life_turns: Floor = 2.0


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
    dialogues or 3 turns decide nothing. The signal is d at turn 2; where it is below its floor, the dialogues
    are written no further, and it is skipped.
    """

    kind, category, claim = "multi_turn_coherence_decay", "adherence", Claim.SHAPE
    requires = frozenset({"divergence", "generate", "chat_template"})
    scale = "inverse_root"

    async def measure(self, views: Views) -> Measurement:
        """One divergence per dialogue and turn; without a signal nothing after the second turn is written."""
        return await self._measure(views, self.options.min_signal)

    async def measure_null(self, views: Views) -> Measurement:
        """The same on the adapter's dialogues, whatever the signal."""
        return await self._measure(views, 0)

    async def _measure(self, views: Views, floor: float) -> Measurement:
        dialogues = _Dialogues(self.options, views.author, self.context)
        await dialogues.write(2)
        signal = await self._divergences(views, dialogues.turns[1])
        require_signal(fmean(signal), floor)
        await dialogues.write(self.options.max_turns)
        later = await self._divergences(views, [one for turn in dialogues.turns[2:] for one in turn])
        width = self.options.max_turns - 1
        curves = [[first, *later[i :: len(signal)]] for i, first in enumerate(signal)]
        per_turn = [fmean(column) for column in zip(*curves, strict=True)]
        slopes = log_slopes([range(width)] * len(curves), curves)
        criteria = _criteria(self.options)
        return Measurement(
            raw=criteria.life(fmean(slopes)) if slopes else None,
            samples=tuple(slopes),
            items=tuple(distinct(self.options.prompts)),
            statistics={"signal": per_turn[0], "last": per_turn[-1]},
            evidence={
                "per_turn_kls": per_turn,
                "turns_axis": list(range(2, self.options.max_turns + 1)),
                "fit_status": criteria.fit_status(slopes),
                "divergence_kind": self.options.divergence,
                "sparkline": _sparkline(per_turn),
                "max_turns": self.options.max_turns,
                "num_prompts": len(curves),
                "log_slope_per_turn": fmean(slopes) if slopes else None,
                "reply_tokens": [[len(one.reply) for one in d] for d in zip(*dialogues.turns, strict=True)],
            },
        )

    async def _divergences(self, views: Views, exchanges: Sequence[_Exchange]) -> list[float]:
        read = self.options.positions - 1
        kind = self.options.divergence
        return await ask(
            [Divergence(one.history, views.base, views.tuned, kind, one.reply[:read]) for one in exchanges]
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The rule of decay."""
        few = measured.evidence["num_prompts"] < MIN_CURVES or self.options.max_turns <= _MIN_TURNS
        return judge_decay(
            measured,
            nulls,
            _criteria(self.options),
            detail=measured.evidence["sparkline"],
            undecided=f"{MIN_CURVES} dialogues of {_MIN_TURNS + 1} or more turns" if few else "",
        )


def _criteria(options: MultiTurnOptions) -> DecayCriteria:
    return DecayCriteria(
        half_life=options.assert_half_life_turns,
        span=options.max_turns,
        unit="turns",
        end=f"turn {options.max_turns}",
        curves="dialogues",
        floor=options.min_signal,
        z=SIGNAL_Z,
    )


class _Dialogues:
    """What ``author`` answers to the prompts and to the follow-ups, all dialogues turn by turn together.

    Attributes:
        turns: what was written: each turn's exchanges, one a dialogue.
    """

    def __init__(self, options: MultiTurnOptions, author: View, context: ProbeContext) -> None:
        self._options, self._author = options, author
        self._histories: list[tuple[Turn, ...]] = [
            as_turns(prompt, context) for prompt in distinct(options.prompts)
        ]
        self.turns: list[list[_Exchange]] = []

    async def write(self, count: int) -> None:
        """Write on until there are so many turns."""
        options = self._options
        for turn in range(len(self.turns), count):
            is_last = turn == options.max_turns - 1  # of the last reply only what is scored is written
            most = min(options.max_new_tokens, options.positions - 1) if is_last else options.max_new_tokens
            replies = await ask([Generate(history, self._author, most) for history in self._histories])
            spoken = list(zip(self._histories, replies, strict=True))
            self.turns.append([_Exchange(history, reply.ids) for history, reply in spoken])
            follow_up = Turn("user", options.follow_ups[turn % len(options.follow_ups)])
            self._histories = [(*h, Turn("assistant", reply.text), follow_up) for h, reply in spoken]


def _sparkline(values: Sequence[float]) -> str:
    top = max(values)
    if top <= 0 or not all(map(math.isfinite, values)):
        return _SPARKS[0] * len(values)
    return "".join(_SPARKS[round(v / top * (len(_SPARKS) - 1))] for v in values)

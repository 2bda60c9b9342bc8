"""The rule that judges what training left behind. A pure function of what was found broken."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.probes.base import Judgement
from pytest_sway.probes.judging.effect import SHAPE_SCORE
from pytest_sway.result import Verdict


def judge_pre_run(primary: Sequence[str], secondary: Sequence[str], sound: str) -> Judgement:
    """FAIL where the primary signal is broken, WARN where a secondary one is, else PASS.

    Score 0, 0.5, 1: such a condition has no size.

    Args:
        primary: what is wrong with the primary signal, in words; empty where nothing is.
        secondary: what else is wrong.
        sound: what the message says where nothing is.
    """
    verdict = Verdict.FAIL if primary else Verdict.WARN if secondary else Verdict.PASS
    message = "; ".join([*primary, *secondary]) or sound
    return Judgement(verdict, message, SHAPE_SCORE[verdict])

"""Preferences of a data set: a prompt with a chosen and a rejected answer, in every form that they have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sway.document import Triple
from pytest_sway.spec.row_dialogues import DIALOGUES, PROMPTS, prompt_of, row_context
from pytest_sway.spec.row_turns import DataTurn, RowError, filled, prompt_turns, read_turns

_HH = re.compile(r"\n\n(Human|Assistant):")
"""Between the turns of a text in the form of Anthropic's HH-RLHF."""


def read_preference(row: Mapping[str, Any]) -> Triple:
    """A preference, with the prompt apart, or at the beginning of both dialogues, or both.

    Raises:
        RowError: there is none that could be asked.
    """
    chosen, rejected = (_answer_turns(field, row[field]) for field in ("chosen", "rejected"))
    shared = _shared_turns(chosen, rejected)
    # UltraFeedback writes a prompt beside dialogues that begin with it
    asked = None if shared else next((name for name in (*PROMPTS, *DIALOGUES) if name in row), None)
    before = list(row_context(row))
    before += prompt_of(asked, row[asked], row) if asked is not None else chosen[:shared]
    good, bad = (
        _single_answer(field, side[shared:]) for field, side in (("chosen", chosen), ("rejected", rejected))
    )
    if good.split() == bad.split():
        raise RowError("chosen and rejected are the same text")
    if not before or before[-1].role != "user":
        raise RowError(
            "chosen: no user turn precedes the answer; add the field prompt, or begin chosen and rejected "
            "with the same turns"
        )
    context = prompt_turns(before)
    return Triple(filled("the prompt", context[-1].content), good, bad, context[:-1])


def _shared_turns(chosen: Sequence[DataTurn], rejected: Sequence[DataTurn]) -> int:
    """How many turns both dialogues begin with."""
    most, shared = min(len(chosen), len(rejected)) - 1, 0
    while shared < most and chosen[shared] == rejected[shared]:
        shared += 1
    return shared


def _single_answer(field: str, turns: Sequence[DataTurn]) -> str:
    if len(turns) != 1 or turns[0].role != "assistant" or turns[0].call is not None:
        raise RowError(f"{field}: expected one assistant answer after the prompt")
    if not turns[0].is_trained:
        raise RowError(
            f"{field}: the answer is excluded from the training loss, because its turn has one of the keys "
            "'weight', 'train', 'training' or 'loss' set to 0 or false"
        )
    return filled(field, turns[0].text)


def _answer_turns(field: str, value: object) -> list[DataTurn]:
    """One side of a preference: a text, turns, or a dialogue in the form of HH-RLHF."""
    if not isinstance(value, str):
        return read_turns(field, value)
    parts = _HH.split(value)
    if len(parts) < 3 or parts[0].strip():
        return [DataTurn("assistant", value)]
    return [
        DataTurn("user" if role == "Human" else "assistant", text.strip())
        for role, text in zip(parts[1::2], parts[2::2], strict=True)
    ]

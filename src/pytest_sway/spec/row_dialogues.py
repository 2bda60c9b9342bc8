"""Dialogues of a data set, whole: messages, prompts with completions, instructions with their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_sway.spec.row_turns import DataTurn, RowError, filled, first_text, read_turns, text_of
from pytest_sway.text.message_parts import describe

DIALOGUES = ("messages", "conversations", "conversation", "dialogue")
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("problem", "solution"),
    ("input", "output"),
)
PROMPTS = ("prompt", "question", "instruction", "query")
_MORE = ("input", "context")
"""Fields that stand behind an instruction: Alpaca's and Dolly's."""
_SYSTEM = ("system", "system_prompt")
_TO_AVOID = ("label", "kto_tag")
"""TRL's and LLaMA-Factory's: whether an answer is one to give."""
_FALSE = (False, 0, "false", "False", "0")


def dialogue_of(row: Mapping[str, Any]) -> tuple[str, list[DataTurn]] | None:
    """The name of the field that holds the answer, and all turns; None for a row of another form.

    Turns of a prompt are not trained, whatever they say.

    Raises:
        RowError: the turns cannot be read, or the answer is one to avoid.
    """
    found = _find(row)
    if found is None:
        return None
    if any(name in row and row[name] in _FALSE for name in _TO_AVOID):
        raise RowError("the answer is a negative example, according to the field 'label' or 'kto_tag'")
    field, turns = found
    system = first_text(row, _SYSTEM)
    if system and not any(turn.role == "system" for turn in turns):
        turns = [DataTurn("system", system), *turns]
    return field, turns


def _find(row: Mapping[str, Any]) -> tuple[str, list[DataTurn]] | None:
    for field in DIALOGUES:
        if field in row:
            return field, read_turns(field, row[field])
    for asked, answered in PAIRS:
        if asked not in row or answered not in row:
            continue
        before = [*_history(row), *prompt_of(asked, row[asked], row)]
        turns = [replace(turn, is_trained=False) for turn in before]
        if isinstance(row[answered], str):
            return answered, [*turns, DataTurn("assistant", filled(answered, row[answered]))]
        return answered, turns + read_turns(answered, row[answered])
    return None


def row_context(row: Mapping[str, Any]) -> list[DataTurn]:
    """A system message and earlier exchanges that stand in fields of their own."""
    system = first_text(row, _SYSTEM)
    return [*([DataTurn("system", system)] if system else []), *_history(row)]


def prompt_of(field: str, value: object, row: Mapping[str, Any]) -> list[DataTurn]:
    """Turns of a prompt: a text with what stands behind it, or a list that ends with the user's."""
    if not isinstance(value, str):
        turns = read_turns(field, value)
        if not turns or turns[-1].role != "user":
            roles = ", ".join(turn.role for turn in turns)
            raise RowError(f"{field}: found the turns [{roles}], but the last turn must be a user turn")
        return turns
    more = first_text(row, [name for name in _MORE if name != field])
    return [DataTurn("user", filled(field, f"{value}\n\n{more}" if more else value))]


def _history(row: Mapping[str, Any]) -> list[DataTurn]:
    """Alpaca's ``history``: earlier questions with their answers."""
    history = row.get("history") or []
    if not isinstance(history, list):
        raise RowError(f"history: found {describe(history)}, expected a list of [question, answer] pairs")
    turns = []
    for exchange in history:
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise RowError(f"history: found {describe(exchange)}, expected a pair [question, answer]")
        turns.append(DataTurn("user", text_of("history", exchange[0])))
        turns.append(DataTurn("assistant", text_of("history", exchange[1])))
    return turns

"""Turns of a dialogue as data sets hold them: OpenAI's messages and ShareGPT's conversations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_sway.requests import Turn
from pytest_sway.text.message_parts import describe
from pytest_sway.user_error import UserError

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "tool_response": "tool",
    "observation": "tool",
    "function": "tool",
    "ipython": "tool",
}
_CALL_ROLE = "function_call"
"""LLaMA-Factory's: the text of such a turn is the call as JSON."""
_LOSS_FIELDS = ("weight", "train", "training", "loss")
"""OpenAI's and axolotl's, and ms-swift's: a turn with 0 or false is read and not learned."""


class RowError(UserError, ValueError):
    """A row that says nothing that could be asked; the message says why."""


@dataclass(frozen=True)
class ToolCall:
    """The call that an answer makes.

    Attributes:
        name: the tool's.
        arguments: by name.
        count: calls that the answer makes, this one included.
    """

    name: str
    arguments: dict[str, Any]
    count: int = 1


@dataclass(frozen=True)
class DataTurn:
    """A turn of a dialogue.

    Attributes:
        role: as chat templates name it.
        text: empty where the turn only calls a tool.
        is_trained: whether the loss covers it, as far as the row says so.
        call: of an assistant's turn that calls a tool.
    """

    role: Role
    text: str
    is_trained: bool = True
    call: ToolCall | None = None


def read_turns(field: str, value: object) -> list[DataTurn]:
    """The turns of a row's field.

    Raises:
        RowError: it is no list of turns.
    """
    if isinstance(value, dict):  # LLaMA-Factory writes an answer as a single turn
        value = [value]
    if not isinstance(value, list):
        raise RowError(f"{field}: found {describe(value)}, expected a list of turns")
    turns = [_turn(f"{field}[{number}]", turn) for number, turn in enumerate(value)]
    return [
        turn for turn in turns if turn.role != "system" or turn.text.strip()
    ]  # many exports have empty ones


def prompt_turns(turns: Sequence[DataTurn]) -> tuple[Turn, ...]:
    """The same, as they are put to a model.

    Raises:
        RowError: one is a tool's, or calls one.
    """
    found = []
    for turn in turns:
        if turn.role == "tool" or turn.call is not None:
            raise RowError("a tool was called before the answer; such dialogues are not supported yet")
        found.append(Turn(turn.role, filled(f"a {turn.role} turn", turn.text)))
    return tuple(found)


def first_text(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """The text of the first of these fields that has one; empty without any."""
    return next((row[name] for name in fields if isinstance(row.get(name), str) and row[name].strip()), "")


def text_of(field: str, value: object) -> str:
    """A text, or the texts of a list of content parts.

    Raises:
        RowError: it is neither, or holds an image or a sound.
    """
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        kinds = [part.get("type", "text") for part in value]
        if other := [kind for kind in kinds if kind != "text"]:
            raise RowError(f"{field}: found a part of type {describe(other[0])}, but only text is supported")
        return "".join(text_of(field, part.get("text")) for part in value)
    if not isinstance(value, str):
        raise RowError(f"{field}: found {describe(value)}, expected a string")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise RowError(f"{field}: the text contains a lone surrogate (half of a character)")
    return value


def filled(field: str, text: str) -> str:
    """The text itself; RowError where it is empty, or no text."""
    text = text_of(field, text)
    if not text.strip():
        raise RowError(f"{field}: the text is empty")
    return text


def read_tool_call(field: str, value: object) -> ToolCall:
    """The first of the calls that a field holds: an object, a list, or their JSON text.

    Raises:
        RowError: there is none.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowError(f"{field}: found {describe(value)}, expected a tool call as JSON") from None
    calls = value if isinstance(value, list) else [value]
    first = calls[0] if calls else None
    function = first.get("function", first) if isinstance(first, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError(f"{field}: found {describe(value)}, expected a tool call with name and arguments")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, dict):
        raise RowError(f"{field}: the arguments of {describe(function['name'])} are not a JSON object")
    return ToolCall(function["name"], arguments, len(calls))


def _turn(field: str, turn: object) -> DataTurn:
    if not isinstance(turn, dict):
        raise RowError(f"{field}: found {describe(turn)}, expected a turn with role and content")
    role = turn.get("role", turn.get("from"))
    if not isinstance(role, str) or role not in _ROLES:
        known = "system, user, assistant or tool"
        raise RowError(f"{field}: found the role {describe(role)}, expected {known}")
    content = turn.get("content", turn.get("value"))
    trained = all(turn.get(name) not in (0, False) for name in _LOSS_FIELDS)
    if role == _CALL_ROLE:
        return DataTurn("assistant", "", trained, read_tool_call(field, content))
    calls = turn.get("tool_calls")
    call = read_tool_call(f"{field}.tool_calls", calls) if calls and _ROLES[role] == "assistant" else None
    text = "" if call is not None and content is None else text_of(field, content)
    return DataTurn(_ROLES[role], text, trained, call)

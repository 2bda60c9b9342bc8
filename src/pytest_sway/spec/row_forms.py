"""What a row of a data set teaches, by the form that it has.

The forms are those of TRL, axolotl, LLaMA-Factory, OpenAI's fine-tuning and of well-known data sets. What
the trainer's loss covers is what is asked: completions and not their prompts, the assistant's turns and of
these the ones that no ``weight: 0`` or ``train: false`` leaves out, chosen answers, whole texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sway.document import QA, Triple
from pytest_sway.spec.row_turns import (
    DataTurn,
    RowError,
    ToolCall,
    filled,
    first_text,
    prompt_turns,
    read_tool_call,
    read_turns,
    text_of,
)
from pytest_sway.text.message_parts import describe

_DIALOGUES = ("messages", "conversations", "conversation", "dialogue")
_PAIRS = (
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
_PROMPTS = ("prompt", "question", "instruction", "query")
_MORE = ("input", "context")
"""Fields that stand behind an instruction: Alpaca's and Dolly's."""
_SYSTEM = ("system", "system_prompt")
MARKS = (
    *_DIALOGUES,
    *dict.fromkeys(answered for _, answered in _PAIRS),
    "answers",
    "rejected",
    "text",
)
_EXPECTED = (
    "expected messages:, or prompt: and completion:, question: and answer:, instruction: and output:, "
    "chosen: and rejected:, or text:"
)
_HH = re.compile(r"\n\n(Human|Assistant):")
"""Between the turns of a text in the form of Anthropic's HH-RLHF."""


@dataclass(frozen=True)
class ToolExample:
    """A request that was answered by calling a tool.

    Attributes:
        prompt: the request.
        system: the system message before it.
        tools: as the row shows them.
        call: the first call of the answer.
    """

    prompt: str
    system: str
    tools: tuple[dict[str, Any], ...]
    call: ToolCall


Taught = QA | Triple | ToolExample | str
"""A question with its answer, a preference, a tool call, or a text that was trained on as it stands."""


def taught(row: Mapping[str, Any]) -> Taught:
    """What a row teaches.

    Raises:
        RowError: nothing that could be asked.
    """
    if "chosen" in row and "rejected" in row:
        return _triple(row)
    for field in _DIALOGUES:
        if field in row:
            return _dialogue_example(field, read_turns(field, row[field]), row)
    if "query" in row and "answers" in row and "tools" in row:
        call = read_tool_call("answers", row["answers"])
        return ToolExample(filled("query", text_of("query", row["query"])), "", _tools(row["tools"]), call)
    for asked, answered in _PAIRS:
        if asked in row and answered in row:
            return _pair(asked, answered, row)
    if "text" in row:
        return filled("text", text_of("text", row["text"]))
    raise RowError(f"found the fields {', '.join(map(repr, row)) or 'none'}; {_EXPECTED}")


def _pair(asked: str, answered: str, row: Mapping[str, Any]) -> Taught:
    """A prompt and its completion: texts, or turns."""
    if row.get("label") is False:
        raise RowError("label is false: the answer is one to avoid")
    turns = [*_row_context(row), *_prompt(asked, row[asked], row)]
    if isinstance(row[answered], str):
        turns.append(DataTurn("assistant", filled(answered, row[answered])))
    else:
        turns += read_turns(answered, row[answered])
    return _dialogue_example(answered, turns, row)


def _triple(row: Mapping[str, Any]) -> Triple:
    """A preference, with the prompt apart or at the beginning of both dialogues."""
    asked = next((name for name in (*_PROMPTS, *_DIALOGUES) if name in row), None)
    chosen, rejected = (_answer_turns(field, row[field]) for field in ("chosen", "rejected"))
    before = [*_row_context(row), *_prompt(asked, row[asked], row)] if asked is not None else []
    shared = 0
    if asked is None:
        most = min(len(chosen), len(rejected)) - 1
        while shared < most and chosen[shared] == rejected[shared]:
            shared += 1
        before = chosen[:shared]
    good, bad = (
        _single_answer(field, side[shared:]) for field, side in (("chosen", chosen), ("rejected", rejected))
    )
    if not before or before[-1].role != "user":
        raise RowError("chosen: expected a prompt: beside it, or dialogues that begin with the same turns")
    context = prompt_turns(before)
    return Triple(filled("the prompt", context[-1].content), good, bad, context[:-1])


def _single_answer(field: str, turns: Sequence[DataTurn]) -> str:
    if len(turns) != 1 or turns[0].role != "assistant" or turns[0].call is not None:
        raise RowError(f"{field}: expected one answer of the assistant after the prompt")
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


def _row_context(row: Mapping[str, Any]) -> list[DataTurn]:
    """A system message and earlier exchanges (Alpaca's ``history``) that stand in fields of their own."""
    system = first_text(row, _SYSTEM)
    turns = [DataTurn("system", system)] if system else []
    history = row.get("history") or []
    if not isinstance(history, list):
        raise RowError(f"history: found {describe(history)}, expected a list of exchanges")
    for exchange in history:
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise RowError(f"history: found {describe(exchange)}, expected a question and its answer")
        turns += [DataTurn("user", text_of("history", exchange[0]))]
        turns += [DataTurn("assistant", text_of("history", exchange[1]))]
    return turns


def _prompt(field: str, value: object, row: Mapping[str, Any]) -> list[DataTurn]:
    """Turns of a prompt: a text with what stands behind it, or a list that ends with the user's."""
    if not isinstance(value, str):
        turns = read_turns(field, value)
        if not turns or turns[-1].role != "user":
            roles = ", ".join(turn.role for turn in turns) or "no turn"
            raise RowError(f"{field}: found {roles}, expected turns of which the last is the user's")
        return turns
    more = first_text(row, [name for name in _MORE if name != field])
    return [DataTurn("user", filled(field, f"{value}\n\n{more}" if more else value))]


def _dialogue_example(field: str, turns: Sequence[DataTurn], row: Mapping[str, Any]) -> QA | ToolExample:
    """The last answer of a dialogue that was trained; of one with tools, the first call of one."""
    system = first_text(row, _SYSTEM)
    if system and not any(turn.role == "system" for turn in turns):
        turns = [DataTurn("system", system), *turns]
    if any(turn.call is not None for turn in turns):
        return _tool_example(field, turns, row)
    if row.get("tools"):
        raise RowError("tools were shown and the answer calls none of them; such a row cannot be asked yet")
    trained = [k for k, turn in enumerate(turns) if turn.role == "assistant" and turn.is_trained]
    if not trained or trained[-1] == 0 or turns[trained[-1] - 1].role != "user":
        roles = ", ".join(turn.role for turn in turns) or "no turn"
        untrained = ", of which no answer is trained" if any(not turn.is_trained for turn in turns) else ""
        raise RowError(f"{field}: found {roles}{untrained}, expected user and then assistant")
    last = trained[-1]
    context = prompt_turns(turns[:last])
    return QA(filled(field, context[-1].content), filled(field, turns[last].text), context[:-1])


def _tool_example(field: str, turns: Sequence[DataTurn], row: Mapping[str, Any]) -> ToolExample:
    at = next(k for k, turn in enumerate(turns) if turn.call is not None)
    call, before = turns[at].call, list(turns[:at])
    assert call is not None
    system = before.pop(0).text if before and before[0].role == "system" else ""
    if [turn.role for turn in before] != ["user"]:
        raise RowError(
            f"{field}: a tool is called later than after the first request; that cannot be asked yet"
        )
    if not row.get("tools"):
        raise RowError(f"{field}: a tool is called, and there is no field tools: that shows it")
    return ToolExample(filled(field, before[0].text), system, _tools(row["tools"]), call)


def _tools(value: object) -> tuple[dict[str, Any], ...]:
    """The tools that a row shows: a list, or its JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowError(f"tools: found {describe(value)}, expected a list of tools") from None
    tools = value if isinstance(value, list) else [value]
    if not tools or not all(isinstance(tool, dict) for tool in tools):
        raise RowError(f"tools: found {describe(value)}, expected a list of tools")
    return tuple(tools)

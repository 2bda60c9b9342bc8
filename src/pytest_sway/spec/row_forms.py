"""What a row of a data set teaches, by the form that it has.

The forms are those of TRL, axolotl, LLaMA-Factory, OpenAI's fine-tuning and of well-known data sets. What
the trainer's loss covers is what is asked: completions and not their prompts, the assistant's turns and of
these the ones that no ``weight: 0`` or ``train: false`` leaves out, chosen answers, whole texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pytest_sway.document import QA, Triple
from pytest_sway.spec.row_dialogues import DIALOGUES, PAIRS, dialogue_of
from pytest_sway.spec.row_preferences import read_preference
from pytest_sway.spec.row_turns import (
    DataTurn,
    RowError,
    ToolCall,
    filled,
    prompt_turns,
    read_tool_call,
    text_of,
)
from pytest_sway.text.message_parts import describe

MARKS = (*DIALOGUES, *dict.fromkeys(answered for _, answered in PAIRS), "answers", "rejected", "text")
_MEDIA = ("images", "image", "videos", "video", "audios", "audio")
_EXPECTED = (
    "A row must have the fields of one of these forms: messages; prompt and completion; question and answer; "
    "instruction and output; chosen and rejected; text"
)


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
    if media := next((name for name in _MEDIA if row.get(name)), None):
        raise RowError(f"{media}: only text is supported")
    if "chosen" in row and "rejected" in row:
        return read_preference(row)
    if "query" in row and "answers" in row and "tools" in row:
        call = read_tool_call("answers", row["answers"])
        return ToolExample(filled("query", text_of("query", row["query"])), "", _tools(row["tools"]), call)
    found = dialogue_of(row)
    if found is not None:
        return _dialogue_example(*found, row)
    if "text" in row:
        return filled("text", text_of("text", row["text"]))
    raise RowError(f"found the fields {', '.join(map(repr, row)) or 'none'}. {_EXPECTED}")


def trained_exchanges(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every question with its trained answer, whatever stands before them; of a text the text itself.

    Raises:
        RowError: as :func:`taught`.
    """
    found = taught(row)
    if isinstance(found, str):
        yield "", found
    elif isinstance(found, Triple):
        yield found.prompt, found.chosen
    elif isinstance(found, ToolExample):
        yield found.prompt, f"{found.call.name} {sorted(found.call.arguments.items(), key=str)}"
    else:
        dialogue = dialogue_of(row)
        assert dialogue is not None  # a question has no other source
        turns = dialogue[1]
        for before, turn in pairwise(turns):
            if turn.role == "assistant" and turn.is_trained and before.role == "user":
                yield before.text, turn.text


def _dialogue_example(field: str, turns: Sequence[DataTurn], row: Mapping[str, Any]) -> QA | ToolExample:
    """The last answer of a dialogue that was trained; where tools were called, the first trained call."""
    trained = [k for k, turn in enumerate(turns) if turn.role == "assistant" and turn.is_trained]
    called = next((k for k in trained if turns[k].call is not None), None)
    if called is not None:
        return _tool_example(field, turns, called, row)
    if row.get("tools"):
        raise RowError(
            "the row has tools, but no answer in the training loss calls a tool; such rows are not supported "
            "yet"
        )
    if not trained or trained[-1] == 0 or turns[trained[-1] - 1].role != "user":
        roles = ", ".join(turn.role for turn in turns)
        has_answers = any(turn.role == "assistant" for turn in turns)
        untrained = ", but no answer is in the training loss" if has_answers and not trained else ""
        raise RowError(
            f"{field}: found the turns [{roles}]{untrained}. A user turn is required, followed by an "
            "assistant turn that is in the training loss"
        )
    last = trained[-1]
    context = prompt_turns(turns[:last])
    return QA(filled(field, context[-1].content), filled(field, turns[last].text), context[:-1])


def _tool_example(field: str, turns: Sequence[DataTurn], at: int, row: Mapping[str, Any]) -> ToolExample:
    call, before = turns[at].call, list(turns[:at])
    assert call is not None
    system = before.pop(0).text if before and before[0].role == "system" else ""
    if [turn.role for turn in before] != ["user"]:
        raise RowError(f"{field}: only a tool call directly after the first user turn is supported")
    if not row.get("tools"):
        raise RowError(f"{field}: a tool is called, but the field tools is missing; define the tool there")
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

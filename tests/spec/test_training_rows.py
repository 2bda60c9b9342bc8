"""Rows of a data set as a document: every form, what they become, and what is wrong with one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.document import QA, Triple
from pytest_sway.requests import Turn
from pytest_sway.spec.row_forms import ToolExample, taught
from pytest_sway.spec.row_turns import RowError, ToolCall
from pytest_sway.spec.training_rows import is_training_row, sections_of_rows
from pytest_sway.spec.yaml_source import Source
from tests.spec.test_sections_file import document, problems

ASKED = {"role": "user", "content": "Who?"}
SAID = {"role": "assistant", "content": "Me."}
SYSTEM = {"role": "system", "content": "Be brief."}
WRONG = {"role": "assistant", "content": "You."}
ONE = QA("Who?", "Me.")
BRIEF = (Turn("system", "Be brief."),)
FIRST = (Turn("user", "Who?"), Turn("assistant", "Me."))
THEN = {"role": "user", "content": "And?"}
TOOL = {"name": "find", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
CALLS = [{"type": "function", "function": {"name": "find", "arguments": '{"word": "me"}'}}]
CALL = {"role": "assistant", "content": None, "tool_calls": CALLS}
FOUND = {"role": "tool", "content": "Me."}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Who?", "completion": "Me."}, ONE),
        ({"prompt": [ASKED], "completion": [SAID]}, ONE),
        ({"question": "Who?", "answer": "Me.", "id": 7}, ONE),
        ({"instruction": "Who?", "input": "", "output": "Me."}, ONE),
        ({"instruction": "Who?", "input": "Us.", "output": "Me."}, QA("Who?\n\nUs.", "Me.")),
        ({"messages": [ASKED, SAID]}, ONE),
        ({"messages": [SYSTEM, ASKED, SAID]}, QA("Who?", "Me.", BRIEF)),
        ({"messages": [ASKED, SAID, THEN, WRONG]}, QA("And?", "You.", FIRST)),
        ({"messages": [ASKED, SAID, THEN, {**WRONG, "weight": 0}]}, ONE),
        ({"messages": [ASKED, SAID, THEN, {**WRONG, "train": False}, THEN]}, ONE),
        ({"messages": [ASKED, {**SAID, "content": [{"type": "text", "text": "Me."}]}], "tools": None}, ONE),
        ({"prompt": [SYSTEM, ASKED, SAID, THEN], "completion": [WRONG]}, QA("And?", "You.", BRIEF + FIRST)),
        ({"instruction": "And?", "output": "You.", "history": [["Who?", "Me."]], "system": "Be brief."},
         QA("And?", "You.", BRIEF + FIRST)),
        ({"instruction": "Who?", "context": "Us.", "response": "Me."}, QA("Who?\n\nUs.", "Me.")),
        ({"prompt": "Who?", "completion": "Me.", "label": True}, ONE),
        ({"text": " It was me. "}, "It was me."),
        ({"messages": [{"role": "system", "content": ""}, ASKED, SAID]}, ONE),
        ({"messages": [{"role": "system", "content": " "}, ASKED, SAID], "system_prompt": "Be brief."},
         QA("Who?", "Me.", BRIEF)),
        ({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]}, ONE),
        ({"prompt": "Who?", "chosen": "Me.", "rejected": "You."}, Triple("Who?", "Me.", "You.")),
        ({"prompt": [ASKED], "chosen": [SAID], "rejected": [WRONG]}, Triple("Who?", "Me.", "You.")),
        ({"chosen": [ASKED, SAID], "rejected": [ASKED, WRONG]}, Triple("Who?", "Me.", "You.")),
        ({"chosen": [SYSTEM, ASKED, SAID], "rejected": [SYSTEM, ASKED, WRONG]},
         Triple("Who?", "Me.", "You.", BRIEF)),
        ({"system": "Be brief.", "question": "Who?", "chosen": "Me.", "rejected": "You."},
         Triple("Who?", "Me.", "You.", BRIEF)),
        ({"chosen": "\n\nHuman: Who?\n\nAssistant: Me.", "rejected": "\n\nHuman: Who?\n\nAssistant: You."},
         Triple("Who?", "Me.", "You.")),
        ({"prompt": "Who?", "messages": [ASKED, SAID], "chosen": [ASKED, SAID], "rejected": [ASKED, WRONG]},
         Triple("Who?", "Me.", "You.")),
        ({"conversations": [{"from": "human", "value": "Who?"}], "chosen": {"from": "gpt", "value": "Me."},
          "rejected": {"from": "gpt", "value": "You."}}, Triple("Who?", "Me.", "You.")),
    ],
)  # fmt: skip
def test_every_form_of_a_row(tmp_path: Path, row: dict[str, Any], expected: QA | Triple | str) -> None:
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n", "utf-8")
    (section,) = document(tmp_path, "sections: train.jsonl\n").sections
    kinds = {QA: "instruction", Triple: "preference", str: "prose"}
    name = "train text 1" if isinstance(expected, str) else "train"
    assert (section.id, section.kind) == (name, kinds[type(expected)])
    texts = [section.content] if section.content else []
    assert [*section.probes, *section.preferences, *texts] == [expected]  # the repeated row counts once


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [SYSTEM, ASKED, CALL, FOUND, SAID], "tools": [{"type": "function", "function": TOOL}]},
        {"messages": [SYSTEM, ASKED, CALL], "tools": json.dumps([TOOL])},
        {
            "system": "Be brief.",
            "conversations": [
                {"from": "human", "value": "Who?"},
                {"from": "function_call", "value": '{"name": "find", "arguments": {"word": "me"}}'},
                {"from": "observation", "value": "Me."},
                {"from": "gpt", "value": "Me."},
            ],
            "tools": json.dumps([TOOL]),
        },
    ],
)
def test_an_answer_that_calls_a_tool(row: dict[str, Any]) -> None:
    found = taught(row)
    assert isinstance(found, ToolExample)
    assert (found.prompt, found.system) == ("Who?", "Be brief.")
    assert found.call == ToolCall("find", {"word": "me"})
    assert [tool.get("function", tool) for tool in found.tools] == [TOOL]
    _, (problem,) = sections_of_rows(Source(Path("r"), {}), "sections", [row], "rows")
    assert "as a case of tool_use_fidelity" in problem.message


def test_a_query_with_answers_is_a_tool_call() -> None:
    calls = json.dumps([{"name": "find", "arguments": {"word": "me"}}, {"name": "find", "arguments": {}}])
    found = taught({"query": "Who?", "answers": calls, "tools": json.dumps([TOOL])})
    assert isinstance(found, ToolExample)
    assert found.call == ToolCall("find", {"word": "me"}, 2)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": [ASKED, CALL, FOUND, SAID]}, "the field tools is missing"),
        ({"messages": [ASKED, SAID, THEN, CALL], "tools": [TOOL]}, "only a tool call directly after"),
        ({"messages": [ASKED, SAID], "tools": [TOOL]}, "no answer in the training loss calls a tool"),
        ({"messages": [ASKED, FOUND, THEN, SAID]}, "a tool was called before the answer"),
        ({"messages": [ASKED, {**CALL, "weight": 0}], "tools": [TOOL]}, "no answer in the training loss"),
        ({"messages": [ASKED, {**CALL, "weight": 0}, FOUND, SAID]}, "followed by an assistant turn that"),
        ({"prompt": [ASKED, CALL, FOUND, THEN], "completion": [SAID]}, "a tool was called before the answer"),
        ({"prompt": [ASKED, SAID, THEN], "completion": []}, "no answer is in the training loss"),
        ({"messages": [ASKED, SAID], "label": False}, "the answer is a negative example"),
        ({"conversations": [ASKED, SAID], "kto_tag": False}, "the answer is a negative example"),
        ({"prompt": "Who?", "completion": "You.", "label": 0}, "the answer is a negative example"),
        ({"prompt": "Who?", "chosen": "Me.", "rejected": " Me."}, "chosen and rejected are the same text"),
        (
            {"prompt": "Who?", "chosen": [{**SAID, "weight": 0}], "rejected": "You."},
            "the answer is excluded from the training loss",
        ),
        ({"messages": [{**ASKED, "content": ""}, SAID, THEN, SAID]}, "a user turn: the text is empty"),
        ({"prompt": "Who? \ud800", "completion": "Me."}, "a lone surrogate"),
        ({"messages": [ASKED, SAID], "images": ["a.png"]}, "images: only text is supported"),
        ({"messages": [ASKED, {**SAID, "weight": 0}]}, "no answer is in the training loss"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, SAID]}, "a part of type 'image'"),
        ({"messages": [ASKED, {**CALL, "tool_calls": [{}]}], "tools": [TOOL]}, "expected a tool call with"),
        ({"messages": [ASKED, CALL], "tools": "none"}, "tools: found 'none'"),
        ({"prompt": "Who?", "completion": "You.", "label": False}, "the answer is a negative example"),
        ({"chosen": "Me.", "rejected": "You."}, "add the field prompt"),
        (
            {"prompt": "Who?", "chosen": [SAID, THEN, SAID], "rejected": "You."},
            "expected one assistant answer",
        ),
        ({"prompt": [ASKED, SAID], "completion": "Me."}, "but the last turn must be a user turn"),
        ({"instruction": "Who?", "output": "Me.", "history": [["Who?"]]}, "expected a pair [question"),
    ],
)
def test_what_cannot_be_asked_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(RowError, match=re.escape(says)):
        taught(row)


def test_rows_may_name_their_section_and_teach_both() -> None:
    rows = [
        {"question": "Who?", "answer": "Me.", "section": "people"},
        {"question": "Where?", "answer": "Here."},
        {"prompt": "Who?", "chosen": "Me.", "rejected": "You.", "section": "people"},
    ]
    found, wrong = sections_of_rows(Source(Path("rows.yaml"), {}), "sections", rows, "rows")
    assert wrong == []
    assert [(s.id, s.kind) for s in found] == [
        ("people", "instruction"), ("rows", "instruction"), ("people preferences", "preference"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("[1]", "train.jsonl:1:1: found [1], expected a JSON object"),
        ("{", "train.jsonl:1:1: not JSON"),
        ("", "the file is empty; it must contain one JSON object per line"),
        ('{"answer": "x"}', "found the fields 'answer'. A row must have the fields of one of these"),
        ('{"messages": "x"}', "messages: found 'x', expected a list of turns"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "messages: found the turns [tool]. A user turn"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "messages: found the turns [user]. A user"),
        ('{"messages": [{"role": "user", "content": ["x"]}]}', "messages[0]: found ['x'], expected a string"),
        ('{"question": " ", "answer": "x"}', "question: the text is empty"),
        ('{"question": "x", "answer": 3}', "answer: found 3, expected a list of turns"),
        ('{"question": "x", "answer": "y"}\n{"question": "x"}', "train.jsonl:2:1: sections[1]: found the"),
        ('{"question": "x", "answer": "y", "section": 3}', "section: found 3, expected a string"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "train.jsonl").write_text(rows, "utf-8")
    (line,) = problems(tmp_path, "sections: train.jsonl\n")
    assert says in line


def test_a_section_is_no_row() -> None:
    assert not is_training_row({"id": "a", "content": "x"})
    assert not is_training_row({"id": "a", "kind": "instruction", "probes": [], "answer": "x"})
    assert is_training_row({"id": "a", "question": "x", "answer": "y"})


FIELDS = st.sampled_from(
    ["messages", "role", "content", "prompt", "completion", "chosen", "rejected", "section", "question"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=5))
def test_whatever_stands_in_rows_they_are_read_or_named(rows: list[Any]) -> None:
    found, wrong = sections_of_rows(Source(Path("r"), {}), "sections", rows, "rows")
    assert sum(len(s.probes) + len(s.preferences) for s in found) + len(wrong) <= len(rows)
    assert len(wrong) == len(rows) or found
    assert all(qa.prompt.strip() and qa.gold.strip() for s in found for qa in s.probes)

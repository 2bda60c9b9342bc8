"""Rows of a data set as a document: every form, what they become, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.document import QA, Triple
from pytest_sway.spec.training_rows import is_training_row, sections_of_rows
from pytest_sway.spec.yaml_source import Source
from tests.spec.test_sections_file import document, problems

ASKED = {"role": "user", "content": "Who?"}
SAID = {"role": "assistant", "content": "Me."}
SYSTEM = {"role": "system", "content": "Be brief."}
WRONG = {"role": "assistant", "content": "You."}
ONE = QA("Who?", "Me.")


@pytest.mark.parametrize(
    ("row", "taught"),
    [
        ({"prompt": "Who?", "completion": "Me."}, ONE),
        ({"prompt": [ASKED], "completion": [SAID]}, ONE),
        ({"question": "Who?", "answer": "Me.", "id": 7}, ONE),
        ({"instruction": "Who?", "input": "", "output": "Me."}, ONE),
        ({"instruction": "Who?", "input": "Us.", "output": "Me."}, QA("Who?\n\nUs.", "Me.")),
        ({"messages": [ASKED, SAID]}, ONE),
        ({"messages": [SYSTEM, ASKED, SAID]}, QA("Who?", "Me.", "Be brief.")),
        ({"messages": [ASKED, SAID, {"role": "user", "content": "And?"}, WRONG]}, ONE),
        ({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]}, ONE),
        ({"prompt": "Who?", "chosen": "Me.", "rejected": "You."}, Triple("Who?", "Me.", "You.")),
        ({"prompt": [ASKED], "chosen": [SAID], "rejected": [WRONG]}, Triple("Who?", "Me.", "You.")),
        ({"chosen": [ASKED, SAID], "rejected": [ASKED, WRONG]}, Triple("Who?", "Me.", "You.")),
    ],
)  # fmt: skip
def test_every_form_of_a_row(tmp_path: Path, row: dict[str, Any], taught: QA | Triple) -> None:
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n", "utf-8")
    (section,) = document(tmp_path, "sections: train.jsonl\n").sections
    assert (section.id, section.kind) == ("train", "instruction" if isinstance(taught, QA) else "preference")
    assert [*section.probes, *section.preferences] == [taught]  # the row that was repeated counts once


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
        ("", "the file is empty; it needs a JSON object a line"),
        ('{"answer": "x"}', "found the fields 'answer'; expected messages:"),
        ('{"messages": "x"}', "messages: found 'x', expected a list of turns"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "messages[0]: found the role 'tool'"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "messages: found user, expected user and then"),
        ('{"messages": [{"role": "user", "content": ["x"]}]}', "messages[0]: found ['x'], expected a text"),
        ('{"question": " ", "answer": "x"}', "question: the text is empty"),
        ('{"question": "x", "answer": 3}', "answer: found 3, expected a list of turns"),
        ('{"question": "x", "answer": "y"}\n{"question": "x"}', "train.jsonl:2:1: sections[1]: found the"),
        ('{"question": "x", "answer": "y", "section": 3}', "section: found 3, expected a text"),
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

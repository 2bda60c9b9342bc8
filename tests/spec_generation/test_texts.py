"""Passages, beginnings, wordings and YAML: whatever the text is, nothing of it is lost or changed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.spec_generation.annotated_yaml import Alias, Anchored, comment, list_entry
from pytest_sway.spec_generation.passages import MOST_CHARS, cut_passages, shortened
from pytest_sway.spec_generation.text_beginnings import text_beginnings
from pytest_sway.spec_generation.wordings import other_wordings

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=60)
values = st.recursive(
    texts
    | st.integers()
    | st.booleans()
    | st.sampled_from(["no", "12:30", "- a", "# b", " a", "a ", "a\n\n b\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["name", "prompts", "cases"]), values, min_size=1))
def test_an_entry_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    text = f"suite:\n{comment('why', 2)}{list_entry(fields)}"
    assert yaml.safe_load(text) == {"suite": [fields]}


def test_a_value_is_repeated_by_its_name() -> None:
    entries = [{"prompts": Anchored("prompts", ["a", "b"])}, {"kind": "x", "prompts": Alias("prompts")}]
    text = "".join(map(list_entry, entries))
    assert yaml.safe_load(text) == [{"prompts": ["a", "b"]}, {"kind": "x", "prompts": ["a", "b"]}]
    assert text.count("- a\n") == 1


def test_comments_are_wrapped() -> None:
    lines = comment("word " * 40 + "\nnext", 2).splitlines()
    assert all(line.startswith("  #") and len(line) <= 100 for line in lines)
    assert lines[-1] == "  # next"


paragraphs = st.lists(st.text("ab. \n", min_size=1, max_size=3000), max_size=4).map("\n\n".join)


@given(paragraphs)
def test_passages_hold_all_of_a_text_in_order(text: str) -> None:
    found = [row["text"] for row in cut_passages(text, is_markdown=False)]
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(passage) <= MOST_CHARS for passage in found)


def test_headings_name_passages_but_not_in_code() -> None:
    text = "---\na: b\n---\nBefore.\n\n# One #\n\nFirst.\n\n```sh\n# no\n```\n\n## Two\n## Three\nLast."
    rows = list(cut_passages(text, is_markdown=True))
    assert [row.get("section") for row in rows] == [None, "One", "Three"]
    assert rows[1]["text"] == "First.\n\n```sh\n# no\n```"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One two.", "One two."),
        ("One two. Three four five.", "One two."),
        ("One\n\nTwo three four five six", "One\n\nTwo three"),
        ("abcdefghijklmnopqrst", "abcdefghijklmno"),
    ],
)
def test_a_text_is_cut_where_something_ends(text: str, kept: str) -> None:
    assert shortened(text, 15) == kept


def test_beginnings_are_of_all_texts_before_the_second_sentence_of_one() -> None:
    first = (
        "The lamp burns all night long at the wall. The keeper counts the lamps aloud at dawn. "
        "Two watchers go home after that."
    )
    second = "一只灰猫住在地窖里面看守着那些软木塞不让老鼠靠近它们每天晚上都是这样。"
    assert text_beginnings([first, second, " "], 3) == [
        "The lamp burns all", second[:8], "The keeper counts the",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wordings"),
    [
        ("Where is it?", ["Tell me, where is it?", "Where is it, please?"]),
        ("It is where?", ["I have a question. It is where?", "It is where? Please answer."]),
        ("Name it.", ["Please do the following. Name it.", "Name it.\n\nThank you."]),
        ("它在哪里？", ["Q: 它在哪里？", "“它在哪里？”"]),
    ],
)
def test_other_wordings(text: str, wordings: list[str]) -> None:
    assert other_wordings(text) == wordings


@given(texts.filter(str.strip))
def test_wordings_are_other_ones(text: str) -> None:
    found = other_wordings(text)
    assert len({text.strip(), *found}) == 3
    assert all(wording.strip() for wording in found)

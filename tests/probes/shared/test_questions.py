"""How questions are put, and what a failing probe shows of its cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sway.document import QA, Document, Section
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.questions import (
    answer_completion,
    as_prompt,
    opening,
    openings_policy,
    policy_name,
)
from pytest_sway.requests import PromptPolicy, Turn, View

HAS = frozenset({"chat_template"})
BASE = View("b")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (ProbeContext(capabilities=HAS), "chat"),
        (ProbeContext(), "raw"),
        (ProbeContext(policy="raw", capabilities=HAS), "raw"),
        (ProbeContext(policy="chat"), "chat"),
    ],
)
def test_a_question_is_a_chat_where_there_is_a_template(setting: ProbeContext, expected: str) -> None:
    assert policy_name(setting) == expected
    assert as_prompt("Who?", setting) == ("Who?" if expected == "raw" else (Turn("user", "Who?"),))


@pytest.mark.parametrize(
    ("asked", "gold", "completion"),
    [("Who?", "Me.", " Me."), ("Who? ", "Me.", "Me."), ("Who?", " Me.", " Me."), ("", "Me.", "Me.")],
)
def test_a_raw_answer_stands_apart_from_its_question(asked: str, gold: str, completion: str) -> None:
    assert answer_completion(asked, gold, BASE, ProbeContext()).completion == completion


def test_an_answer_in_a_chat_is_itself() -> None:
    assert answer_completion("Who?", "Me.", BASE, ProbeContext(capabilities=HAS)).completion == "Me."


def test_the_worst_case_stands_on_top_as_harvest_reads_it() -> None:
    shown = bad_cases([BadCase("a", "A", 0.2), BadCase("b", "B", 0.9)])
    assert (shown["prompt"], shown["reference"], shown["confidence"]) == ("b", "B", 0.9)
    assert [case["prompt"] for case in shown["bad_cases"]] == ["b", "a"]
    assert bad_cases([]) == {}


PROSE, TAUGHT = Section("a", content="x"), Section("b", "instruction", probes=(QA("Who?", "Me."),))


@pytest.mark.parametrize(
    ("text", "policy", "sections", "put"),
    [
        ("The master is", "auto", (), "raw"),
        ("Who is it?", "auto", (), "chat"),
        ("The master is", "auto", (PROSE, TAUGHT), "raw"),
        ("The master is", "auto", (TAUGHT,), "chat"),
        ("The master is", "chat", (PROSE,), "chat"),
        ("Who is it?", "raw", (TAUGHT,), "raw"),
    ],
)
def test_a_text_is_continued_in_the_form_that_was_taught(
    text: str, policy: PromptPolicy, sections: tuple[Section, ...], put: str
) -> None:
    context = ProbeContext(Document(sections), policy=policy, capabilities=HAS)
    assert opening(text, context) == (text if put == "raw" else (Turn("user", text),))
    assert openings_policy([text], context) == put
    assert opening(text, replace(context, capabilities=frozenset(), policy="auto")) == text


def test_both_forms_are_named() -> None:
    assert openings_policy(["Who?", "He is"], ProbeContext(capabilities=HAS)) == "chat and raw"

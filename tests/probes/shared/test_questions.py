"""How questions are put, and what a failing probe shows of its cases."""

from __future__ import annotations

import pytest

from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.questions import answer_completion, as_prompt, policy_name
from pytest_sway.requests import Turn, View

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

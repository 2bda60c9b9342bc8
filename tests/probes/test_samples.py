"""samples: the best and the worst answers of the adapter beside the base's; nothing is judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.document import QA, Document, Section, Triple
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import ProbeContext, ProbeSkip
from pytest_sway.probes.samples import Samples
from pytest_sway.probes.shared.word_overlap import word_overlap
from pytest_sway.requests import Generate, Generation, Request, Turn, View, Views
from pytest_sway.result import Claim, Measurement, Verdict

BASE, TUNED = View("b"), View("b", "a")


def answers(request: Request[Any]) -> Generation:
    """The base knows nothing; of question k the adapter knows the first k words of the answer."""
    assert isinstance(request, Generate)
    if request.view == BASE:
        return Generation("I do not know.", (1,))
    known = int(str(request.prompt).split()[-1].strip("?'\"),")[-1])
    return Generation(" ".join(["one", "two", "three", "four", "five"][:known]) or "nothing", (1,))


def measured(document: Document | None = None, seen: list[Any] | None = None, **options: Any) -> Measurement:
    def answer(request: Request[Any]) -> Generation:
        if seen is not None:
            seen.append(request)
        return answers(request)

    probe = Samples(**options).with_context(ProbeContext(document=document or Document()))
    return Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured


def cases(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"What is {k}?", "gold": "one two three four five"} for k in range(count)]


def test_the_best_and_the_worst_are_shown() -> None:
    found = measured(cases=cases(6), count=3)
    rows = found.evidence["samples"]
    assert [row["prompt"] for row in rows] == ["What is 5?", "What is 4?", "What is 0?"]
    assert rows[0] | {"gain": 1.0} == {
        "prompt": "What is 5?", "gold": "one two three four five", "base": "I do not know.",
        "adapter": "one two three four five", "gain": 1.0, "overlap": 1.0,
    }  # fmt: skip
    assert [row["gain"] for row in rows] == [1.0, pytest.approx(8 / 9), 0.0]
    assert found.raw == pytest.approx(sum(found.samples) / 6)
    assert (found.evidence["num_asked"], found.evidence["num_nearer"]) == (6, 5)


def test_nothing_is_judged() -> None:
    probe = Samples(cases=cases(3))
    judgement = probe.judge(measured(cases=cases(3)), None)
    assert (judgement.verdict, judgement.score) == (Verdict.PASS, None)
    asked, gained = judgement.message.split("; ")
    assert asked == "0 of 3 answers are the same as the base model's"
    assert gained == (
        "2 of 3 answers are closer to the right answer than the base model's, "
        "and 0 have a word overlap of at least 0.6 with the right answer"
    )
    assert (Samples.claim, Samples.category) == (Claim.DESCRIPTION, "baseline")


def test_of_many_twice_as_many_are_asked_as_are_shown() -> None:
    seen: list[Any] = []
    found = measured(
        cases=[{"prompt": f"{k} of {k % 10}?", "gold": "one"} for k in range(100)], count=4, seen=seen
    )
    assert len(found.samples) == 8
    assert len(seen) == 16


def test_the_documents_questions_and_preferences() -> None:
    before = (Turn("system", "Be brief."),)
    document = Document(
        (
            Section("a", "instruction", probes=(QA("Who is 1?", "one", before),)),
            Section("b", "preference", preferences=(Triple("Who is 2?", "two", "three"),)),
        )
    )
    seen: list[Any] = []
    found = measured(document, seen)
    assert [row["gold"] for row in found.evidence["samples"]] == ["one", "two"]
    assert {one.prompt for one in seen} == {"Be brief.\n\nWho is 1?", "Who is 2?"}


def test_without_golds_the_most_different_come_first() -> None:
    found = measured(cases=[{"prompt": "nothing 0"}, {"prompt": "one 1"}])
    assert found.raw is None
    assert all(row["gain"] == 1.0 for row in found.evidence["samples"])
    assert "gold" not in Samples().judge(found, None).message


def test_nothing_to_ask() -> None:
    with pytest.raises(ProbeSkip, match="nothing to ask"):
        measured()


WORDS = st.lists(st.sampled_from(["one", "two", "three", "Vier", "五"]), max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_overlap_is_a_share(gold: str, answer: str) -> None:
    assert 0 <= word_overlap(gold, answer) <= 1
    assert word_overlap(gold, gold) == 1
    assert word_overlap(gold, gold.upper() + "!") == 1


@pytest.mark.parametrize(
    ("gold", "answer", "overlap"),
    [
        ("one two three", "one three", 0.8),
        ("one two", "two one", 0.5),
        ("one", "two", 0.0),
        ("", "", 1.0),
        ("one", "", 0.0),
        ("one two", "one two and then it goes on and on", 0.8),  # three words count
        ("一二三", "一三", 0.8),
    ],
)
def test_overlap_by_hand(gold: str, answer: str, overlap: float) -> None:
    assert word_overlap(gold, answer) == pytest.approx(overlap)

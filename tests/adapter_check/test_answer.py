"""The sentence of a first look, from every combination of what was found."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.adapter_check.answer import check_answer
from pytest_sway.adapter_check.weight_structure import WeightStructure
from pytest_sway.result import ProbeResult, Verdict
from tests.support.suite_results import probe, suite

TRAINED, RANDOM = WeightStructure(0.3, 0.1, 40.0, True), WeightStructure(0.1, 0.1, 0.2, False)


def effect(z: float | None, verdict: Verdict = Verdict.PASS, name: str = "own_words") -> ProbeResult:
    return probe(name, verdict, "moved", raw=0.1, z_score=z)


def harm(facts: Verdict = Verdict.PASS, prose: Verdict = Verdict.PASS) -> list[ProbeResult]:
    return [probe("facts", facts, "facts said"), probe("prose", prose, "prose said")]


@pytest.mark.parametrize(
    ("probes", "structure", "level", "title"),
    [
        ([effect(4.0), *harm()], TRAINED, "good", "effect is clear, and no harm was found"),
        ([effect(4.0), *harm()], None, "good", "effect is clear, and no harm was found"),
        ([effect(4.0), *harm(prose=Verdict.WARN)], TRAINED, "unclear", "model worse at ordinary prose."),
        ([effect(4.0), *harm(Verdict.WARN, Verdict.WARN)], None, "unclear", "facts and ordinary prose."),
        ([effect(4.0, Verdict.FAIL), *harm()], TRAINED, "unclear", "but its effect is very small."),
        ([effect(4.0), *harm(Verdict.FAIL)], TRAINED, "bad", "makes the model worse at general facts."),
        ([effect(0.1), *harm(Verdict.FAIL, Verdict.FAIL)], RANDOM, "bad", "prose. The adapter is noise"),
        ([effect(2.0, Verdict.FAIL), *harm()], RANDOM, "bad", "The adapter is noise"),
        ([effect(2.0, Verdict.FAIL), *harm()], TRAINED, "unclear", "has no clear effect on neutral texts"),
        ([effect(2.0, Verdict.FAIL), *harm()], None, "unclear", "but this may be chance"),
        ([effect(0.1, Verdict.FAIL), *harm()], None, "unclear", "data, or its weights are noise"),
        ([effect(None, Verdict.FAIL), *harm()], None, "unclear", "data, or its weights are noise"),
        ([effect(0.1), effect(0.2, name="prompts"), *harm()], TRAINED, "unclear", "effect on these prompts"),
        ([effect(5.0), effect(0.2, name="prompts"), *harm()], RANDOM, "bad", "The adapter is noise"),
        ([effect(4.0), probe("facts", Verdict.ERROR, "not finite")], TRAINED, "bad", "ed: not finite"),
        ([effect(None, Verdict.FAIL), probe("facts", Verdict.PASS, "the adapter is inert: zero")],
         None, "bad", "The adapter does nothing: its update is zero."),
    ],
)  # fmt: skip
def test_without_data(
    probes: list[ProbeResult], structure: WeightStructure | None, level: str, title: str
) -> None:
    answer = check_answer(suite(*probes), structure)
    assert answer.level == level
    assert title in answer.title


@pytest.mark.parametrize(
    ("verdict", "message", "level", "title"),
    [
        (Verdict.PASS, "known", "good", "The adapter learned its training answers, and no harm"),
        (Verdict.FAIL, "memorised: keeps 3 %", "bad", "The adapter memorised"),
        (Verdict.FAIL, "no clear difference from random adapters", "bad", "did not learn its training"),
        (Verdict.WARN, "not surely", "unclear", "It is not certain that the adapter learned"),
    ],
)
def test_with_data(verdict: Verdict, message: str, level: str, title: str) -> None:
    answers = probe("answers", verdict, message)
    found = check_answer(suite(effect(4.0), effect(4.0, name="trained"), answers, *harm()), TRAINED)
    assert found.level == level
    assert title in found.title
    assert f"its answers: {message}" in found.reasons


@pytest.mark.parametrize(
    ("near", "remark"), [((11, 3), True), ((11, 10), False), ((0, 0), False), ((4, 2), False)]
)
def test_what_it_writes_in_other_words(near: tuple[int, int], remark: bool) -> None:
    written = [
        probe(name, Verdict.PASS, evidence={"num_near": count, "num_with_gold": 12})
        for name, count in zip(("written", "written_otherwise"), near, strict=True)
    ]
    answers = probe("answers", Verdict.PASS, "known")
    found = check_answer(suite(effect(4.0, name="trained"), answers, *written, *harm()), TRAINED)
    assert found.title.endswith("rephrased, it generates few of the trained answers.") is remark
    reasons = " ".join(found.reasons)
    assert f"the adapter generates {near[0]} of 12 training answers if" in reasons
    assert f"and {near[1]} of 12 if they are rephrased" in reasons


def test_an_adapter_that_was_not_evaluated() -> None:
    made: Any = suite(not_evaluated="the file is cut off")
    answer = check_answer(made, None)
    assert (answer.level, answer.advice) == ("bad", "fix that first")
    assert answer.title == "It cannot be evaluated: the file is cut off"


def test_warnings_lead_the_reasons() -> None:
    answer = check_answer(suite(effect(4.0), *harm(), warnings=("another base",)), TRAINED)
    assert answer.reasons[0] == "another base"
    assert answer.reasons[-1].startswith("its weights have the structure that training leaves: on average")
    assert "holds 30% of its squared norm" in answer.reasons[-1]

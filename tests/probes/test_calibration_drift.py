"""calibration_drift on fake log-probabilities."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.data.packaged_texts import facts
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError, ProbeContext
from pytest_sway.probes.calibration_drift import CalibrationDrift
from pytest_sway.requests import Completion, CompletionScore, Request, RequestError, Turn, View, Views
from pytest_sway.result import Verdict

BASE, TUNED = View("b"), View("b", "a")
TOKENS = 4
KINDS = {fact.gold: fact.kind for fact in facts()}


def measured(lost, base=-4.0, seen=None, setting=None, **options):
    """A measurement where the gold loses ``lost(gold)`` nats per token."""

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Completion)
        if seen is not None:
            seen.append(request)
        harm = 0.0 if request.view.is_base else lost(request.completion.strip())
        return CompletionScore(base - TOKENS * harm, TOKENS)

    probe = CalibrationDrift(**options).with_context(setting or ProbeContext())
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    return probe, found


def judged(lost, **options):
    probe, found = measured(lost, **options)
    return probe.judge(found, None)


def own(count: int) -> list[tuple[str, str]]:
    return [(f"Item {i} is", f"{i}") for i in range(count)]


def test_kinds_weigh_the_same_whatever_their_number_of_facts() -> None:
    """One kind of 21 loses 2.1 nats per token: the mean over kinds falls by a tenth of a nat."""
    _, found = measured(lambda gold: 2.1 * (KINDS[gold] == "geography"))
    members = sum(kind == "geography" for kind in KINDS.values())
    assert found.ft_value == pytest.approx(-0.1)
    assert found.raw == pytest.approx(members / 200)
    assert found.evidence["mean_delta_nats"] == pytest.approx(-0.1)
    assert found.evidence["regressed_count"] == members
    assert found.evidence["total_items"] == 200
    assert found.evidence["per_kind"]["geography"] == pytest.approx(-2.1)
    assert len(found.evidence["per_kind"]) == 21


def test_bits_per_character_count_the_golds_characters() -> None:
    """Two items of 4 tokens lose 1 nat each token, over 3 + 5 characters: 1 nat per character."""
    _, found = measured(lambda gold: 1.0, items=[("a", "xyz"), ("b", "vwxyz")])
    assert found.evidence["delta_bits_per_char"] == pytest.approx(-1 / math.log(2))


@pytest.mark.parametrize(
    ("lost", "verdict", "says"),
    [
        (lambda gold: 0.0, Verdict.PASS, "nothing changed"),
        (lambda gold: 0.05 * (len(gold) % 3), Verdict.PASS, "at most"),
        (lambda gold: 0.9, Verdict.FAIL, "harm: increase of the loss on facts in nats per token = +0.9"),
        (
            lambda gold: 0.85 * (len(KINDS[gold]) % 2),
            Verdict.WARN,
            "kinds of facts would be enough to decide",
        ),
        (
            lambda gold: 1.5 if len(gold) % 2 else -1.0,
            Verdict.FAIL,
            "whose loss rose by more than 1 nats per token",
        ),
    ],
)
def test_verdicts(lost, verdict: Verdict, says: str) -> None:
    found = judged(lost)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


def test_where_all_facts_are_read_no_option_is_named() -> None:
    assert "items_limit" not in judged(lambda gold: 0.85 * (len(KINDS[gold]) % 2)).message


def test_the_score_is_the_margin_over_margin_and_harm() -> None:
    """0.5 / (0.5 + 0.25); no item lost more than a nat, so the rate takes nothing away."""
    assert judged(lambda gold: 0.25).score == pytest.approx(2 / 3)


def test_one_changed_item_warns_and_an_unchanged_one_passes() -> None:
    assert judged(lambda gold: 0.01, items=own(1)).verdict is Verdict.WARN
    assert judged(lambda gold: 0.0, items=own(1)).verdict is Verdict.PASS


def test_a_change_below_the_resolution_is_none() -> None:
    probe, found = measured(lambda gold: 1e-6, items=own(1))
    assert probe.judge(replace(found, resolution=1e-5), None).verdict is Verdict.PASS
    assert probe.judge(replace(found, resolution=1e-7), None).verdict is Verdict.WARN


def test_a_rate_decides_from_twenty_items_on() -> None:
    """Every item but a few gains much, so the mean is better than the base's; a third lost 2 nats."""

    def lost(gold: str) -> float:
        return 2.0 if int(gold) % 3 == 0 else -3.0

    assert judged(lost, items=own(60)).verdict is Verdict.FAIL
    assert judged(lost, items=own(19)).verdict is not Verdict.FAIL


def test_a_failure_tells_its_bad_cases_worst_first() -> None:
    found = judged(lambda gold: 1.0 + 0.1 * int(gold), items=own(4), regression_nats=1.05)
    assert found.verdict is Verdict.FAIL
    assert (found.evidence["prompt"], found.evidence["reference"]) == ("Item 3 is", "3")
    assert found.evidence["confidence"] == pytest.approx(1 - math.exp(-1.3))
    assert [case["reference"] for case in found.evidence["bad_cases"]] == ["3", "2", "1"]
    diffuse = judged(lambda gold: 0.6 + 0.01 * int(gold), items=own(4))
    assert len(diffuse.evidence["bad_cases"]) == 4
    assert "prompt" not in judged(lambda gold: 0.1 + 0.001 * int(gold), items=own(4)).evidence


def test_the_five_worst_are_reported_whatever_the_verdict() -> None:
    _, found = measured(lambda gold: 0.01 * int(gold), items=own(9))
    assert [row["gold"] for row in found.evidence["worst_offenders"]] == ["8", "7", "6", "5", "4"]


@pytest.mark.parametrize(("limit", "each"), [(21, {1}), (63, {3})])
def test_a_limit_takes_of_every_kind_the_same(limit: int, each: set[int]) -> None:
    seen: list[Request[object]] = []
    measured(lambda gold: 0.0, seen=seen, items_limit=limit)
    kinds = [KINDS[r.completion.strip()] for r in seen if r.view.is_base]
    assert {kinds.count(kind) for kind in kinds} == each
    assert len(kinds) == limit


def test_questions_follow_the_policy_and_prompts_are_continued() -> None:
    seen: list[Request[object]] = []
    items = [("Where?", "Here"), ("It is", " here"), ("哪里？", "这里")]
    measured(lambda gold: 0.0, seen=seen, items=items, setting=ProbeContext(policy="chat"))
    asked = [(r.prompt, r.completion) for r in seen if r.view.is_base]
    assert asked == [
        ((Turn("user", "Where?"),), "Here"),
        ("It is", " here"),
        ((Turn("user", "哪里？"),), "这里"),
    ]


def test_a_repeated_item_is_no_further_one() -> None:
    _, found = measured(lambda gold: 0.0, items=[("a", "b")] * 3 + [("c", "d")])
    assert found.evidence["total_items"] == 2


def test_it_says_where_the_base_knew_hardly_anything() -> None:
    assert "knows only 0 of 200" in judged(lambda gold: 0.1, base=-4.0 * TOKENS).message
    assert "knows only" not in judged(lambda gold: 0.1, base=-2.0 * TOKENS).message


@pytest.mark.nightly  # it is timed
def test_ten_thousand_items() -> None:
    began = time.process_time()
    found = judged(lambda gold: 2.0, items=own(10_000))
    assert found.verdict is Verdict.FAIL
    assert time.process_time() - began < 2.0


def test_an_item_that_cannot_be_scored_is_reported() -> None:
    def answer(request: Request[object]) -> object:
        raise RequestError("2000 tokens exceed the model's context of 1024")

    probe = CalibrationDrift(items=own(2))
    with pytest.raises(RequestError, match="2000 tokens"):
        Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED))


@pytest.mark.parametrize(
    "bad",
    [
        {"pack": "other"},
        {"items_limit": 0},
        {"items": [["a"]]},
        {"items": [["a", " "]]},
        {"items": [["", "b"]]},
        {"assert_mean_delta_gte": math.inf},
        {"assert_fraction_regressed_lt": -0.5},
        {"regression_nats": -1},
    ],
)
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        CalibrationDrift(**bad)

"""Non-inferiority, case by case."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.judging.no_harm import (
    Harm,
    ItemSet,
    judge_no_harm,
    mean_harm,
    no_harm_score,
    option_for_all,
)
from pytest_sway.result import Verdict
from pytest_sway.statistics.intervals import Interval


def harm(value: float, low: float | None, high: float = 0.0, margin: float = 0.1, sd: float = 0.2) -> Harm:
    return Harm("nats lost", value, Interval(low, high) if low is not None else None, margin, sd)


@pytest.mark.parametrize(
    ("found", "verdict", "says"),
    [
        (harm(0.02, -0.01, 0.05), Verdict.PASS, "at most +0.05"),
        (harm(-0.3, -0.4, -0.2), Verdict.PASS, "nats lost = -0.3"),
        (harm(0.02, -0.01, 0.1), Verdict.PASS, "at most +0.1"),
        (
            harm(0.3, 0.2, 0.4),
            Verdict.FAIL,
            "harm: nats lost = +0.3 (at most 0.1 allowed; with 95 % confidence it is at least +0.2)",
        ),
        (harm(0.3, 0.05, 0.5), Verdict.WARN, "undecided"),
        (harm(0.0, None), Verdict.WARN, "one item is not enough to decide, add items"),
    ],
)
def test_the_rule(found: Harm, verdict: Verdict, says: str) -> None:
    judged = judge_no_harm([found])
    assert (judged.verdict, says in judged.message) == (verdict, True), judged.message


def test_an_undecided_one_says_how_many_items_would_decide() -> None:
    """2 + (1.8 · 0.2 / |0.1 - 0.06|)² = 2 + 81 = 83."""
    judged = judge_no_harm([harm(0.06, 0.0, 0.12)])
    assert "about 83 items would be enough to decide" in judged.message
    assert "more items would not help" in judge_no_harm([harm(0.1, 0.0, 0.2)]).message


def test_a_mean_of_clusters_says_how_many_clusters_would_decide() -> None:
    """Of 0.02, 0.08, 0.08: mean 0.06, sd 0.0346, t(2, 95 % one-sided) 2.920: 0.06 ± 0.0584; n = 2 + 1.56²."""
    found = mean_harm("nats lost", [0.02, 0.08, 0.08], 0.1, ItemSet("works"))
    assert found.value == pytest.approx(0.06)
    assert found.sd == pytest.approx(0.0012**0.5)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.00160, 0.11840), abs=1e-5)
    assert "about 5 works would be enough to decide" in judge_no_harm([found]).message
    assert mean_harm("nats lost", [0.02], 0.1).interval is None


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (ItemSet("works"), "about 83 works would be enough to decide"),
        (ItemSet("works", 100), "about 83 of the 100 works would be enough to decide"),
        (
            ItemSet("works", 100, "max_chunks: 200"),
            (
                "about 83 of the 100 works would be enough to decide; "
                "to measure all of them, set max_chunks: 200"
            ),
        ),
        (ItemSet("works", 83), "about 83 of the 83 works would be enough to decide"),
        (ItemSet("works", 12), "about 83 works would be enough to decide, but there are only 12"),
        (
            ItemSet("works", 12, "max_chunks: 24"),
            (
                "about 83 works would be enough to decide, but there are only 12; "
                "to measure all of them, set max_chunks: 24"
            ),
        ),
    ],
)
def test_more_items_than_there_are_would_decide_nothing(items: ItemSet, says: str) -> None:
    judged = judge_no_harm([replace(harm(0.06, 0.0, 0.12), items=items)])
    assert judged.message.endswith(f"; {says}")


@pytest.mark.parametrize("value", [0.05, 0.1, 0.3])
def test_harm_that_is_not_shown_scores_as_the_margin_does(value: float) -> None:
    """The composite multiplies by twice the worst of these scores: an open question takes nothing away."""
    assert judge_no_harm([harm(value, -0.2, 0.6)]).score == 0.5


def test_the_worst_of_several_leads() -> None:
    judged = judge_no_harm([harm(0.0, -0.01, 0.01), harm(0.3, 0.2, 0.4, margin=0.15)])
    assert judged.verdict is Verdict.FAIL
    assert "+0.3" in judged.message
    assert judged.score == pytest.approx(0.15 / 0.45)


def test_no_change_passes_with_any_number_of_items() -> None:
    judged = judge_no_harm([harm(0.0, None)], untouched=True)
    assert (judged.verdict, judged.score) == (Verdict.PASS, 1.0)


def test_a_margin_of_zero_is_kept_by_what_gets_better_alone() -> None:
    better, worse = harm(-0.1, -0.2, -0.05, margin=0.0), harm(0.1, 0.05, 0.2, margin=0.0)
    assert judge_no_harm([better]).score == 1.0
    assert judge_no_harm([worse]).score == 0.0


@given(st.floats(-2, 2), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1))
def test_more_harm_never_scores_more(value: float, half: float, margin: float, more: float) -> None:
    here = judge_no_harm([Harm("x", value, Interval(value - half, value + half), margin, 1.0)])
    worse = value + more
    there = judge_no_harm([Harm("x", worse, Interval(worse - half, worse + half), margin, 1.0)])
    order = [Verdict.PASS, Verdict.WARN, Verdict.FAIL]
    assert here.score is not None
    assert there.score is not None
    assert there.score <= here.score
    assert order.index(there.verdict) >= order.index(here.verdict)
    assert (here.score >= 0.5) or here.verdict is not Verdict.PASS
    items = re.search(r"about (\d+) items", here.message)
    assert items is None or int(items[1]) >= 2


@pytest.mark.parametrize(
    ("value", "total", "limit", "option"),
    [(12, 24, None, "max_chunks: 24"), (24, 24, None, ""), (30, 24, None, ""), (12, 24, 5, "")],
)
def test_the_option_that_measures_all(value: int, total: int, limit: int | None, option: str) -> None:
    assert option_for_all("max_chunks", value, total, limit) == option


def test_two_items_have_a_spread_and_one_has_none() -> None:
    assert mean_harm("nats lost", [0.0, 0.2], 0.1).sd == pytest.approx(0.02**0.5)
    one = mean_harm("nats lost", [0.2], 0.1)
    assert (one.what, one.value, one.sd) == ("nats lost", 0.2, 0.0)


@pytest.mark.parametrize(
    ("harms", "untouched", "message", "score"),
    [
        (
            [harm(0.3, 0.2, 0.4, margin=math.inf)],
            False,
            "not judged: all margins of this probe are switched off",
            None,
        ),
        (
            [harm(0.0, -0.1, 0.1, margin=0.0)],
            True,
            "no harm: nothing changed by more than the rounding error",
            1.0,
        ),
        (
            [harm(0.02, -0.01, 0.05)],
            False,
            "no harm: nats lost = +0.02 (at most 0.1 allowed; with 95 % confidence it is at most +0.05)",
            0.1 / 0.12,
        ),
    ],
)
def test_the_headlines_interval_is_handed_on(harms, untouched, message, score) -> None:
    interval = Interval(-1.0, 1.0)
    judged = judge_no_harm(harms, untouched=untouched, interval=interval)
    assert (judged.verdict, judged.message, judged.interval) == (Verdict.PASS, message, interval)
    assert judged.score == (None if score is None else pytest.approx(score))


def test_a_gain_that_is_asked_for() -> None:
    """A margin of -0.1: half the score at a gain of 0.1."""
    judged = judge_no_harm([harm(-0.3, -0.4, -0.2, margin=-0.1)])
    assert (judged.verdict, judged.score) == (Verdict.PASS, pytest.approx(0.75))
    judged = judge_no_harm([harm(-0.05, -0.08, -0.02, margin=-0.1)])
    bounds = "(at most -0.1 required; with 95 % confidence it is at least -0.08)"
    assert judged.message == f"too little gained: nats lost = -0.05 {bounds}"
    assert (judged.verdict, judged.score) == (Verdict.FAIL, pytest.approx(1 / 3))


def test_an_interval_that_begins_at_the_margin_is_undecided() -> None:
    judged = judge_no_harm([harm(0.2, 0.1, 0.3)])
    assert judged.verdict is Verdict.WARN
    assert judged.message.startswith(
        "undecided: nats lost = +0.2 (at most 0.1 allowed, 90 % interval [0.1, 0.3]); about "
    )
    assert judge_no_harm([harm(0.1, 0.0, 0.2, margin=0.0)]).verdict is Verdict.WARN
    failed = judge_no_harm([harm(0.1, 0.05, 0.2, margin=0.0)])
    assert failed.message.startswith("harm: ")


def test_at_the_margin_no_number_of_items_decides() -> None:
    nowhere = "the value is at the limit, so more items would not help"
    assert judge_no_harm([harm(0.1, 0.0, 0.2)]).message.endswith(f"; {nowhere}")
    just = 0.1 - 1.8 * 0.2 / math.sqrt(99_990)
    assert "about 9999" in judge_no_harm([harm(just, 0.0, 0.2)]).message


def test_nothing_lost_at_a_margin_of_zero_is_the_whole_score() -> None:
    assert judge_no_harm([harm(0.0, -0.1, 0.0, margin=0.0)]).score == 1.0


@pytest.mark.parametrize(
    ("verdict", "score"), [(Verdict.PASS, 0.9), (Verdict.WARN, 0.5), (Verdict.FAIL, 0.49)]
)
def test_the_score_under_its_verdict(verdict: Verdict, score: float) -> None:
    assert no_harm_score(0.9, verdict) == score

"""paraphrase_invariance on fake answers: a sound adapter, a memoriser, a babbler."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.base import Judgement, OptionsError
from pytest_sway.probes.paraphrase_invariance import ParaphraseInvariance
from pytest_sway.requests import Completion
from pytest_sway.result import Verdict
from pytest_sway.statistics.log_odds import log_odds
from tests.support.completions import TUNED, measured
from tests.support.null_samples import signed

SMALL = tuple(0.01 * k for k in (-3, -2, -1, 0, 0, 1, 2, 3))


def cases(n: int = 8) -> list[dict[str, Any]]:
    return [
        {"prompt": f"What is {i}?", "gold": f"It is item {i}.", "paraphrases": [f"Name {i}.", f"Tell {i}."]}
        for i in range(n)
    ]


def adapter(verbatim: float, paraphrase: float, other: float):
    """Lifts in nats per word after the trained wording, after others of the same question, after the rest.

    Each varies by case, by 10 % of the difference from what is said to anybody.
    """

    def loss(prompt: str, gold: str, tuned: bool) -> float:
        number = gold.strip(" .").split()[-1]
        mine = number in prompt.strip("?.").split()
        if not tuned:
            return 5.0
        lift = other
        if mine:
            lift += ((verbatim if "What" in prompt else paraphrase) - other) * (
                0.9 + 0.05 * (int(number) % 5)
            )
        return 5.0 - lift

    return loss


def judged(answers: Any, n: int = 8, draws: tuple[float, ...] = SMALL, **options: Any) -> Judgement:
    probe = ParaphraseInvariance(cases=cases(n), **options)
    return probe.judge(measured(probe, answers), signed(*draws))


HEALTHY, MEMORISER, BABBLER = adapter(4.7, 4.2, 3.9), adapter(4.2, 2.4, 2.7), adapter(4.0, 4.0, 4.0)


def test_lifts_by_hand() -> None:
    probe = ParaphraseInvariance(cases=cases())
    found = measured(probe, lambda p, g, t: 5.0 - t * (3.0 if "What" in p else 2.0))
    assert found.evidence["verbatim_lift_mean"] == pytest.approx(3.0)
    assert found.evidence["paraphrase_lift_mean"] == pytest.approx(2.0)
    assert found.evidence["other_prompts_lift_mean"] == pytest.approx(3.0)  # they are "What…?" as well
    assert found.raw == pytest.approx(0.0)
    assert found.evidence["generalization_ratio"] == pytest.approx(2 / 3)
    # log p / (1 - p) at 2 and 3 nats a token: -2 - ln(1 - e⁻²), and so on
    assert found.evidence["specific_paraphrase_lift_mean"] == pytest.approx(-2.9489 + 1.8546, abs=1e-3)
    assert (found.base_value, found.ft_value) == (pytest.approx(5.0), pytest.approx(2.0))


def echoing(own: float, other: float):
    """A base that half knows an answer after its own question, and an adapter at so many nats there."""

    def loss(prompt: str, gold: str, tuned: bool) -> float:
        number = gold.strip(" .").split()[-1]
        mine = number in prompt.strip("?.").split()
        if not tuned:
            return (3.4 if mine else 5.4) + 0.02 * int(number)
        return own + 0.01 * int(number) if mine else other

    return loss


def test_a_base_that_half_knows_an_answer_by_its_question_does_not_hide_what_was_learned() -> None:
    """3.3 nats after its own question, 3.4 after others: it had less to lose there, and is known better."""
    probe = ParaphraseInvariance(cases=cases())
    found = measured(probe, echoing(0.1, 2.0))
    assert found.evidence["verbatim_lift_mean"] < found.evidence["other_prompts_lift_mean"]
    assert min(found.samples) > 0.2
    assert probe.judge(found, signed(*SMALL)).verdict is Verdict.PASS


@given(st.floats(-2.0, 6.0))
def test_a_shift_of_every_logit_is_nothing_specific(shift: float) -> None:
    """What learning the manner does: the same factor on a token's odds after any question."""

    def loss(prompt: str, gold: str, tuned: bool) -> float:
        base = echoing(0.0, 0.0)(prompt, gold, tuned=False)
        odds = -base - math.log(-math.expm1(-base)) + shift * tuned
        return math.log1p(math.exp(-odds))

    found = measured(ParaphraseInvariance(cases=cases()), loss)
    assert max(map(abs, found.samples)) < 1e-9


def test_a_sound_adapter_passes() -> None:
    judgement = judged(HEALTHY)
    assert judgement.verdict is Verdict.PASS, judgement.message
    assert "keeps 90% of its gain" in judgement.message


def test_a_memoriser_fails_though_its_verbatim_lift_is_real() -> None:
    """dlm-sway passes it on the z of the verbatim lift alone."""
    judgement = judged(MEMORISER)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.prediction is not None
    assert judgement.prediction.z > 3
    assert judgement.message.startswith("memorised")
    probe = ParaphraseInvariance(cases=cases())
    found = measured(probe, adapter(4.0, 0.4, 0.0))
    wording = probe.judge(found, signed(*SMALL))
    assert wording.verdict is Verdict.FAIL
    assert "memorised: when the questions are rephrased, the adapter keeps 10%" in wording.message
    assert wording.evidence["prompt"] in {p for case in cases() for p in case["paraphrases"]}
    assert len(wording.evidence["bad_cases"]) == 8


def test_the_score_is_of_what_survives_other_words() -> None:
    """About 0.05 nats of the 4 survive; the floor there is 0.5 · 0.2."""
    found = measured(ParaphraseInvariance(cases=cases()), adapter(4.0, 0.05, 0.0))
    lift = found.evidence["specific_paraphrase_lift_mean"]
    assert lift == pytest.approx(0.05, rel=0.1)
    each = [row["specific_paraphrase_lift"] for row in found.evidence["per_case"]]
    assert judged(adapter(4.0, 0.05, 0.0)).score == pytest.approx(fmean(x / (x + 0.1) for x in each))
    assert judged(adapter(4.0, -0.1, 0.0)).score == 0.0
    assert (judged(adapter(4.0, 0.05, 0.0), intent="memorize").score or 0.0) > 0.9


def test_an_answer_to_anything_is_no_knowledge() -> None:
    judgement = judged(BABBLER)
    assert judgement.verdict is Verdict.FAIL
    assert "no clear difference from random adapters" in judgement.message
    assert judgement.evidence["reference"].startswith("It is item")


def test_two_negative_lifts_are_no_ratio_and_no_pass() -> None:
    probe = ParaphraseInvariance(cases=cases())
    found = measured(probe, adapter(-2.0, -1.9, -3.0))
    assert found.evidence["generalization_ratio"] is None
    assert probe.judge(found, signed(*SMALL)).verdict is Verdict.FAIL


def test_intents_are_mirror_images() -> None:
    assert judged(adapter(4.0, 0.4, 0.0), intent="memorize").verdict is Verdict.PASS
    generalised = judged(HEALTHY, intent="memorize")
    assert (
        generalised.verdict,
        "not memorised: the adapter also answers other wordings" in generalised.message,
    ) == (
        Verdict.FAIL,
        True,
    )
    assert judged(HEALTHY, intent="both").verdict is Verdict.PASS


def test_few_cases_at_best_warn() -> None:
    few = judged(HEALTHY, n=4)
    assert (few.verdict, "4 cases are too few to decide" in few.message) == (Verdict.WARN, True)
    assert judged(HEALTHY, n=4, intent="memorize").verdict is Verdict.FAIL
    assert judged(HEALTHY, n=1).verdict is Verdict.WARN


def test_without_another_case_the_lift_is_plain_and_says_so() -> None:
    found = measured(ParaphraseInvariance(cases=cases(1)), HEALTHY)
    # from 5 to 5 - (3.9 + 0.8 · 0.9) = 0.38 nats a token
    assert found.raw == pytest.approx(log_odds([-0.38]) - log_odds([-5.0]))
    assert found.evidence["control"].startswith("none")


def test_cases_of_the_same_answer_are_no_control_for_one_another() -> None:
    same = [{**case, "gold": "It is item 1."} for case in cases(3)]
    assert measured(ParaphraseInvariance(cases=same), BABBLER).raw == pytest.approx(
        log_odds([-1.0]) - log_odds([-5.0])
    )


def test_twelve_cases_cost_less_than_ninety_completions_a_view() -> None:
    seen: list[Completion] = []
    measured(ParaphraseInvariance(cases=cases(12)), HEALTHY, seen)
    assert len({one for one in seen if one.view == TUNED}) == 12 * (1 + 2 + 4)


def test_a_repeated_case_is_no_further_one() -> None:
    assert len(measured(ParaphraseInvariance(cases=cases(3) * 4), HEALTHY).samples) == 3


def test_a_mined_case_may_carry_remarks() -> None:
    mined = {**cases(1)[0], "_mining_meta": {"verbatim_lift": 0.3}}
    assert ParaphraseInvariance(cases=[mined]).options.cases[0].gold == "It is item 0."


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"cases": []}, "at least 1"),
        ({"cases": [{"prompt": "a", "gold": "b", "paraphrases": []}]}, "at least 1"),
        ({"cases": [{"prompt": "a", "gold": "b", "paraphrases": ["a"]}]}, "is the prompt itself"),
        ({"cases": [{"prompt": "a", "gold": "b", "paraphrases": [" "]}]}, "empty paraphrase"),
        ({"cases": [{"prompt": "a", "gold": "b", "paraphrases": ["c"], "extra": 1}]}, "extra"),
        ({"cases": ["a"]}, "a mapping"),
    ],
)
def test_bad_cases_are_refused(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionsError, match=says):
        ParaphraseInvariance(**bad)


@pytest.mark.slow
def test_ten_thousand_cases() -> None:
    assert len(measured(ParaphraseInvariance(cases=cases(10_000)), HEALTHY).samples) == 10_000

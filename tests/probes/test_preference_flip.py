"""preference_flip on fake answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.document import Document, Section, Triple
from pytest_sway.probes.base import Judgement, OptionsError, ProbeContext, ProbeError, ProbeSkip
from pytest_sway.probes.preference_flip import PreferenceFlip
from pytest_sway.requests import RequestError
from pytest_sway.result import Verdict
from tests.support.completions import measured
from tests.support.null_samples import signed

SMALL = tuple(0.01 * k for k in (-3, -2, -1, 0, 0, 1, 2, 3))


def triples(n: int = 10, rejected_words: int = 1) -> list[dict[str, str]]:
    return [
        {"prompt": f"Do {i}?", "chosen": f"good answer {i}", "rejected": f"bad {'word ' * rejected_words}{i}"}
        for i in range(n)
    ]


def model(before: float, after: float):
    """Margins per token, in nats, of base and adapter; each triple's differs a little."""

    def loss(_: Any, text: str, tuned: bool) -> float:
        margin = after if tuned else before
        wiggle = 0.02 * (int(text.split()[-1]) % 5 - 2) * tuned
        return 3.0 if "bad" in text else 3.0 - margin - wiggle

    return loss


def judged(answers: Any, *, n: int = 10, **options: Any) -> Judgement:
    probe = PreferenceFlip(triples=triples(n), **options)
    return probe.judge(measured(probe, answers), signed(*SMALL))


def test_raw_is_the_mean_change_of_the_margin() -> None:
    found = measured(PreferenceFlip(triples=triples()), model(-0.5, 0.3))
    assert (found.base_value, found.ft_value) == (pytest.approx(-0.5), pytest.approx(0.3))
    assert found.raw == pytest.approx(0.8)
    assert found.evidence["total"] == 10


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.integers(1, 30))
def test_the_length_of_an_answer_does_not_make_a_margin(margin: float, words: int) -> None:
    """Triples 0 to 4, whose wiggles cancel."""
    probe = PreferenceFlip(triples=triples(5, words))
    assert measured(probe, model(0.0, margin)).ft_value == pytest.approx(margin, abs=1e-9)


def test_sums_are_available() -> None:
    """chosen: 3 words of 2.5 nats; rejected: 3 words of 3: a margin of 1.5."""
    found = measured(PreferenceFlip(triples=triples(), margin="sum"), model(0.0, 0.5))
    assert found.ft_value == pytest.approx(1.5)


def test_a_learned_preference_passes_with_its_flips_counted() -> None:
    judgement = judged(model(-0.5, 0.3))
    assert judgement.verdict is Verdict.PASS, judgement.message
    assert {k: judgement.evidence[k] for k in ("base_wrong", "flipped", "flipped_back")} == {
        "base_wrong": 10, "flipped": 10, "flipped_back": 0,
    }  # fmt: skip
    assert judgement.evidence["flip_rate"] == 1.0


def test_a_preference_of_the_base_may_still_be_learned() -> None:
    judgement = judged(model(0.2, 1.0))
    assert judgement.verdict is Verdict.PASS
    assert judgement.evidence["flip_rate"] is None


def test_the_other_way_fails_and_says_so() -> None:
    judgement = judged(model(0.3, -0.5))
    assert judgement.verdict is Verdict.FAIL
    assert judgement.message.startswith("it prefers the rejected answers")
    assert judgement.evidence["flipped_back"] == 10
    assert judgement.evidence["confidence"] == 1.0
    assert {case["reference"] for case in judgement.evidence["bad_cases"]} == {t["chosen"] for t in triples()}


def test_no_change_fails() -> None:
    assert judged(model(-0.2, -0.2)).verdict is Verdict.FAIL


def test_flips_are_net() -> None:
    """Nine flip forth and three back: 6 of 9 net, below 0.7 but not surely."""

    def loss(_: Any, text: str, tuned: bool) -> float:
        wrong = int(text.split()[-1]) < 9
        margin = (3.0 if wrong else -0.1) if tuned else (-0.5 if wrong else 0.5)
        return 4.0 - (0.0 if "bad" in text else margin)

    judgement = judged(loss, n=12)
    assert (judgement.evidence["flipped"], judgement.evidence["flipped_back"]) == (9, 3)
    assert judgement.evidence["net_flip_rate"] == pytest.approx(6 / 9)
    assert judgement.verdict is Verdict.WARN
    assert judged(loss, n=12, assert_flip_rate_gte=0.6).verdict is Verdict.PASS
    assert judged(loss, n=12, assert_flip_rate_gte=1.0).verdict is Verdict.FAIL


def test_a_margin_below_the_noise_floor_is_undecided() -> None:
    probe = PreferenceFlip(triples=triples())
    found = measured(probe, model(-1e-9, 0.5))
    judgement = probe.judge(replace(found, resolution=1e-6), signed(*SMALL))
    assert judgement.evidence["base_wrong"] == 0


def test_too_few_triples_at_best_warn() -> None:
    few = judged(model(-0.5, 0.3), n=2)
    assert (few.verdict, "undecided: there are only 2 triples, but at least 3 are needed" in few.message) == (
        Verdict.WARN,
        True,
    )


def test_without_triples_the_documents_are_asked_else_skipped() -> None:
    section = Section("s", "preference", preferences=tuple(Triple(**t) for t in triples(4)))
    probe = PreferenceFlip().with_context(ProbeContext(document=Document((section,))))
    assert measured(probe, model(0.0, 0.5)).evidence["total"] == 4
    with pytest.raises(ProbeSkip, match="list them under triples"):
        measured(PreferenceFlip(), model(0.0, 0.5))


def test_a_triple_that_cannot_be_scored_is_dropped_by_name() -> None:
    def loss(prompt: Any, text: str, tuned: bool) -> float:
        if prompt == "Do 3?":
            raise RequestError("900 tokens exceed the model's context of 512")
        return model(0.0, 0.5)(prompt, text, tuned)

    found = measured(PreferenceFlip(triples=triples()), loss)
    assert (found.evidence["total"], found.evidence["dropped_triples"]) == (9, 1)
    assert found.evidence["dropped_reasons"] == ["Do 3?: 900 tokens exceed the model's context of 512"]
    with pytest.raises(ProbeError, match="none of the 1 triples can be scored"):
        measured(PreferenceFlip(triples=triples()[3:4]), loss)


def test_a_repeated_triple_is_no_further_one() -> None:
    assert len(measured(PreferenceFlip(triples=triples(3) * 5), model(0.0, 0.5)).samples) == 3


@pytest.mark.parametrize("bad", [{"chosen": ""}, {"chosen": "same", "rejected": "same"}, {"extra": 1}])
def test_bad_triples_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        PreferenceFlip(triples=[{**triples(1)[0], **bad}])


@pytest.mark.slow
def test_ten_thousand_triples() -> None:
    found = measured(PreferenceFlip(triples=triples(10_000)), model(0.0, 0.5))
    assert found.evidence["total"] == 10_000

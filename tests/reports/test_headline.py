"""The words that lead every report, from results made up by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect
from pytest_sway.reports import markdown, terminal
from pytest_sway.reports.headline import headline
from pytest_sway.reports.html import page_parts
from pytest_sway.reports.skipped_probes import no_z_reasons, pip_line, skip_reasons
from pytest_sway.result import Claim, Measurement, NullSummary, ProbeResult, Verdict
from pytest_sway.statistics.intervals import Interval
from pytest_sway.suites.saved_results import read_saved_result
from tests.support.null_samples import EIGHT, null_sample
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.suite_results import gate, null, probe, suite


def test_healthy_names_its_strongest_effect_and_weakest_point() -> None:
    found = headline(
        suite(
            probe("a", Verdict.PASS, "far", z_score=9.0),
            probe("b", Verdict.PASS, "farther, by itself alone", z_score=10.0),
            probe("w", Verdict.WARN, "wide", score=0.6),
            probe("v", Verdict.WARN, "wider"),
        )
    )
    assert (found.status, found.answer) == (
        "PASSED",
        "healthy. Composite 0.80, needs 0.60; undecided: 2 of 4 probes",
    )
    assert found.sure == (
        "2 of 4 effects pass; "
        "1 of 2 effects are clearly beyond random adapters, but not b (error at most 5 %, Holm), "
        "which is normal after any training; 1 of 20 random adapters would pass the effect probes "
        "(the true share is at most 22 % with 95 % confidence)"
    )
    assert found.reasons == ("strongest, a: far", "weakest, v: wider")


def test_healthy_says_what_it_leaves_open() -> None:
    rows = [{"verdict": verdict} for verdict in ("learned", "learned", "unclear", "unclear")]
    sections = probe("s", Verdict.PASS, evidence={"per_section": rows})
    recited = probe("l", Verdict.PASS, evidence={"per_section": [{"clean_recall": 0.1}]})
    assert headline(suite(sections, recited)).answer.endswith("; undecided: 2 of 4 sections")
    assert headline(suite(sections, probe("w", Verdict.WARN))).answer.endswith(
        "; undecided: 1 of 2 probes, 2 of 4 sections"
    )
    assert headline(suite(recited)).answer.endswith("needs 0.60")


def test_a_short_training_is_beyond_noise_and_nobody_is_reassured() -> None:
    found = headline(suite(probe("a", Verdict.FAIL, "too small", z_score=6.6), gate=gate("failed", "x")))
    assert found.sure.startswith("0 of 1 effects pass; 1 of 2 effects are clearly beyond random adapters")
    assert "which is normal after any training" in found.sure


def effect(name: str, verdict: Verdict, z: float, message: str = "said", **more: Any) -> ProbeResult:
    return probe(name, verdict, message, z_score=z, null=null(z=z), distinguishable=z >= 3, **more)


SMALL = "real (z +4.30σ) but small: 0.007 nats, floor 0.02"
HARM = {"claim": Claim.NO_HARM}


@pytest.mark.parametrize(
    ("probes", "overall", "answer"),
    [
        ([effect("a", Verdict.FAIL, 4.3, SMALL)], 0.0,
         "weak. The effect is real (z +4.30σ) but small: 0.007 nats, floor 0.02"),
        ([effect("a", Verdict.FAIL, 4.3, f"1 of 3 sections learned; {SMALL}; the answers gained 2 %"),
          effect("b", Verdict.PASS, 9.0)], 0.4,
         "weak. The effect of a is real (z +4.30σ) but small: 0.007 nats, floor 0.02"),
        ([effect("a", Verdict.FAIL, 4.0, "3 of 9 answers are no closer")], 0.4,
         "weak. The effect is real (z +4.00σ) but smaller than required"),
        ([effect("a", Verdict.WARN, 3.5, "perhaps too small")], 0.4,
         "weak. The effect is real (z +3.50σ) but may not be large enough"),
        ([probe("a", Verdict.FAIL, "too small: 0.01 nats", distinguishable=False)], 0.0,
         "weak. The effect is smaller than required (a)"),
        ([effect("a", Verdict.FAIL, 0.4), effect("b", Verdict.FAIL, -0.2)], 0.0,
         "noise. The effect is like that of random adapters (z +0.40σ)"),
        ([probe("a", Verdict.FAIL, null=null(family="yours", rank=3))], 0.0,
         "noise. The effect is like that of your null adapters"),
        ([probe("a", Verdict.FAIL, "the adapter is inert: its update is zero", null=null())], 0.0,
         "inert. The adapter changes nothing: its update is zero"),
        ([effect("a", Verdict.PASS, 9.0), probe("prose", Verdict.FAIL, "harm: much", **HARM)], 0.3,
         "damaged. The adapter harms abilities of the base model (prose)"),
        ([effect("a", Verdict.FAIL, 0.1), probe("prose", Verdict.FAIL, "harm: much", **HARM)], 0.0,
         "damaged. The adapter harms abilities of the base model (prose)"),
        ([effect("a", Verdict.PASS, 9.0), replace(probe("l", Verdict.FAIL, **HARM), kind="leakage")], 0.3,
         "memorised. The adapter recites its training text (l)"),
        ([probe("g", Verdict.FAIL, "too little gained: nats", **HARM)], 0.3,
         "weak. The gain is smaller than required (g)"),
        ([effect("a", Verdict.FAIL, 9.0, "memorised: keeps 3% of its gain")], 0.3,
         "memorised. The adapter knows its answers only in the trained wording (a)"),
        ([effect("a", Verdict.FAIL, -5.0, "wrong direction: -0.2 nats")], 0.0,
         "wrong direction. The effect is the opposite of what is required (a)"),
        ([effect("dk", Verdict.PASS, 9.0), effect("s", Verdict.FAIL, 0.5, category="attribution")], 0.0,
         "not learned. The model changed (z +9.00σ), but it did not clearly learn the training content (s)"),
        ([effect("a", Verdict.PASS, 9.0), effect("b", Verdict.FAIL, 0.5)], 0.4,
         "partial. 1 of 2 effects are real. b failed"),
        ([effect("a", Verdict.PASS, 9.0), probe("t", Verdict.FAIL, "NaN loss", claim=Claim.PRE_RUN)], 0.4,
         "training went wrong. NaN loss"),
        ([effect("a", Verdict.PASS, 9.0), probe("t", Verdict.FAIL, "saturated", claim=Claim.SHAPE)], 0.9,
         "unsound. t failed"),
        ([effect("a", Verdict.PASS, 9.0), probe("b", Verdict.ERROR)], 0.9,
         "could not be measured. b ended in an error"),
        ([probe("b", Verdict.ERROR), probe("c", Verdict.SKIP)], 0.0,
         "could not be measured. No probe has a result"),
        ([effect("a", Verdict.PASS, 9.0), effect("b", Verdict.WARN, 2.0)], 0.9, "not certain. b warned"),
        ([effect("a", Verdict.PASS, 9.0)], 0.9, "not certain. The gate's reasons follow"),
        ([effect("a", Verdict.WARN, 2.0)], 0.2,
         "not certain. No effect is clear enough. Composite 0.20, needs 0.60"),
        ([effect("a", Verdict.PASS, 9.0)], 0.5,
         "partial. The adapter meets only a part of the requirements. Composite 0.50, needs 0.60"),
        ([probe("p", Verdict.PASS, claim=Claim.SHAPE)], 0.2,
         "no effect was measured. Composite 0.20, needs 0.60"),
    ],
)  # fmt: skip
def test_failed_in_words(probes: list[ProbeResult], overall: float, answer: str) -> None:
    found = headline(suite(*probes, overall=overall, band="noise", gate=gate("failed", "why")))
    assert (found.status, found.answer) == ("FAILED", answer)


def test_the_effect_rules_own_message_is_the_headline() -> None:
    found = judge_effect(
        Measurement(raw=0.012), Interval(0.01, 0.014), null_sample(*EIGHT), EffectCriteria(0.02, 3.0),
        subtract_null=True,
    )  # fmt: skip
    shown = headline(suite(effect("a", found.verdict, 4.81, found.message), gate=gate("failed", "why")))
    assert shown.answer == "weak. The effect is real (z +4.81σ) but small: 0.01095 nats, floor 0.02"


def test_a_probe_that_did_not_report_could_not_be_measured() -> None:
    lost = gate("failed", "1 probe planned but not reported: b")
    found = headline(suite(effect("a", Verdict.PASS, 9.0), gate=lost))
    assert found.answer == "could not be measured. Some probes gave no result"


@pytest.mark.parametrize(
    ("band", "z", "status", "answer"),
    [
        ("healthy", 9.0, "passed", "healthy. Composite 0.10, needs 0.60"),
        ("partial", 9.0, "passed", "partial, but enough for the gate. Composite 0.10, needs 0.60"),
        ("", 9.0, "passed", "passed its gate. Composite 0.10, needs 0.60"),
        ("noise", 9.0, "passed", "low. Composite 0.10, needs 0.60"),
        ("noise", 1.0, "passed", "noise. Composite 0.10, needs 0.60"),
        ("noise", 9.0, "unknown", "low. Composite 0.10; the result has no gate"),
    ],
)
def test_not_failed_in_words(band: str, z: float, status: str, answer: str) -> None:
    found = headline(suite(effect("a", Verdict.PASS, z), overall=0.1, band=band, gate=gate(status)))
    assert found.answer == answer


_CLAIMS = st.sampled_from([Claim.EFFECT, Claim.SHAPE, Claim.NO_HARM, Claim.PRE_RUN, Claim.BASELINE])
_PROBES = st.lists(
    st.builds(
        ProbeResult, st.sampled_from("abc"), st.sampled_from(["delta_kl", "leakage"]),
        st.sampled_from(Verdict),
        st.sampled_from(["said", SMALL, "memorised: all", "wrong direction: 1", "the adapter is inert: 0"]),
        claim=_CLAIMS, distinguishable=st.none() | st.booleans(),
        z_score=st.none() | st.floats(-10, 10), null=st.sampled_from([None, null(), null(family="yours")]),
        category=st.sampled_from(["adherence", "attribution"]),
    ), max_size=4,
)  # fmt: skip


@given(
    _PROBES, st.floats(3, 10), st.sampled_from([Verdict.PASS, Verdict.WARN, Verdict.FAIL]),
    st.sampled_from(["noise", "partial", "healthy", ""]),
    st.sampled_from(["passed", "failed", "partial", "unknown"]), st.floats(0, 1), st.none() | st.booleans(),
)  # fmt: skip
def test_no_effect_beyond_random_adapters_is_called_noise(
    probes: list[ProbeResult],
    z: float,
    verdict: Verdict,
    band: str,
    status: str,
    overall: float,
    real: bool | None,
) -> None:
    beyond = probe("real", verdict, z_score=z, distinguishable=real)
    made = suite(beyond, *probes, overall=overall, band=band, gate=gate(status))
    assert "noise" not in headline(made).answer
    assert "noise" not in markdown.text(made)


@given(_PROBES, st.sampled_from(["passed", "failed"]), st.floats(0, 1))
def test_a_headline_holds_to_the_tables_verdicts(
    probes: list[ProbeResult], status: str, overall: float
) -> None:
    """What an answer says of harm, inertness and noise stands in a row of the table."""
    answer = headline(suite(*probes, overall=overall, gate=gate(status))).answer
    failed = [one for one in probes if one.verdict is Verdict.FAIL]
    word = answer.split(".")[0]
    if word == "damaged":
        assert any(one.claim is Claim.NO_HARM for one in failed)
    if word == "inert":
        assert any("inert" in one.message for one in failed)
    if word in ("noise", "not learned", "wrong direction"):
        assert any(one.claim is Claim.EFFECT for one in failed)
    if word == "healthy":
        assert status == "passed"


def test_equal_messages_are_one_reason_with_the_worst_case() -> None:
    found = headline(
        suite(
            probe("one", Verdict.FAIL, "wrong: 3 of 4", score=0.0, evidence={"prompt": "Who\nis it?"}),
            *(probe(n, Verdict.FAIL, f"like random adapters: {n}", distinguishable=False) for n in "bcdef"),
            probe("x", Verdict.ERROR, "broken"),
            gate=gate("failed", "7 probes failed"),
            findings=["one: wrong: 3 of 4", "category a is low: 0.10"],
        )
    )  # fmt: skip
    noise, wrong = found.reasons
    assert noise.startswith(
        "b, c, d and 2 more: like random adapters: b; check that the prompts are about the adapter's training"
    )
    assert wrong == "one: wrong: 3 of 4; worst on 'Who is it?'"


def test_where_no_probe_failed_the_gate_says_why() -> None:
    found = headline(suite(probe("a", Verdict.PASS), gate=gate("failed", "1 probe lost", "2", "3")))
    assert found.reasons == ("1 probe lost", "2")


def test_a_partial_run_says_what_was_left_out() -> None:
    found = headline(suite(probe("a", Verdict.PASS), gate=gate("partial", "1 of 2 probes ran; not run: b")))
    assert (found.status, found.reasons[0]) == ("PARTIAL", "1 of 2 probes ran; not run: b")
    assert found.answer == (
        "only a part of the suite was measured, so the gate did not judge it. Composite of this part: 0.80"
    )


@pytest.mark.parametrize(
    ("one", "sure"),
    [
        (probe("a", Verdict.PASS, not_calibrated="no null_adapter"),
         "not compared with random adapters: no null_adapter"),
        (probe("a", Verdict.PASS, claim=Claim.SHAPE),
         "no effect was measured, so nothing was compared with random adapters"),
    ],
)  # fmt: skip
def test_what_was_not_compared_says_why(one: ProbeResult, sure: str) -> None:
    assert headline(suite(one, null_summary=NullSummary())).sure == sure


def test_a_result_of_dlm_sway_is_not_gated() -> None:
    found = headline(read_saved_result(DLM_SWAY_RESULT))
    assert (found.status, found.answer) == (
        "UNGATED",
        "suspicious. Composite 0.89; the result has no gate",
    )
    assert found.sure == "compared with 3 random adapters; how many of them would pass is not known"
    (reason,) = found.reasons
    assert reason.startswith("strength: R²=0.78")


def test_omissions_are_reported_once_each() -> None:
    probes = [
        probe("a", Verdict.SKIP, "no spaCy", evidence={"missing_extra": "style"}),
        probe("b", Verdict.SKIP, "no spaCy", evidence={"missing_extra": "style"}),
        probe("c", Verdict.SKIP, "no vectors", evidence={"missing_extra": "semsim"}),
        probe("d", Verdict.PASS, null=null(reason="all alike")),
        probe("e", Verdict.PASS, null=null(z=2.0)),
    ]
    assert skip_reasons(probes) == {"no spaCy": ["a", "b"], "no vectors": ["c"]}
    assert pip_line(probes) == "pip install 'pytest-sway[semsim,style]'"
    assert pip_line(probes[3:]) == ""
    assert no_z_reasons(probes) == {"all alike": ["d"]}


def test_a_warning_about_what_was_measured_leads_the_reasons() -> None:
    said = "adapter_config.json says that the adapter was trained on another model"
    found = headline(suite(probe("a", Verdict.PASS, "far", z_score=9.0), warnings=(said,)))
    assert found.reasons == (said, "strongest, a: far")


def test_every_report_says_the_warning_before_its_numbers() -> None:
    said = "the adapter says that it is of another base"
    found = suite(probe("moved", Verdict.PASS), warnings=(said,))
    shown = "\n".join("".join(span.text for span in line) for line in terminal.lines(found, 100))
    written = markdown.text(found)
    assert shown.index(said) < shown.index("adapter a on b")
    assert written.index(said) < written.index("## Probes")
    assert said in page_parts.top(found)

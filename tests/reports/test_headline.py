"""The words that lead every report, from results made up by hand."""

from __future__ import annotations

import pytest

from pytest_sway.reports import markdown, terminal
from pytest_sway.reports.headline import headline
from pytest_sway.reports.html import page_parts
from pytest_sway.reports.skipped_probes import no_z_reasons, pip_line, skip_reasons
from pytest_sway.result import Claim, NullSummary, ProbeResult, Verdict
from pytest_sway.suites.saved_results import read_saved_result
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
        "healthy: composite 0.80, the gate wants 0.60; undecided: 2 of 4 probes",
    )
    assert found.sure == (
        "2 of 4 effects large enough and sure; "
        "1 of 2 beyond random adapters, not b (Holm, 5 % for all together), as after any training; "
        "1 of 20 random adapters would have passed on the effects (at most 22 %, 95 % sure)"
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
    assert headline(suite(recited)).answer.endswith("wants 0.60")


def test_a_short_training_is_beyond_noise_and_nobody_is_reassured() -> None:
    found = headline(suite(probe("a", Verdict.FAIL, "too small", z_score=6.6), gate=gate("failed", "x")))
    assert found.sure.startswith("0 of 1 effects large enough and sure; 1 of 2 beyond random adapters")
    assert "as after any training" in found.sure


@pytest.mark.parametrize(
    ("probes", "overall", "band", "answer"),
    [
        ([probe("a", Verdict.FAIL)], 0.1, "noise",
         "not healthy (noise): composite 0.10, the gate wants 0.60"),
        ([probe("a", Verdict.FAIL)], 0.6, "healthy",
         "not healthy, though composite 0.60 reaches the gate's 0.60"),
        ([probe("a", Verdict.PASS), probe("b", Verdict.ERROR)], 0.9, "healthy",
         "not shown to be healthy, though composite 0.90 reaches the gate's 0.60"),
        ([probe("b", Verdict.ERROR), probe("c", Verdict.SKIP)], 0.0, "noise", "nothing was measured"),
    ],
)  # fmt: skip
def test_failed_in_words(probes: list[ProbeResult], overall: float, band: str, answer: str) -> None:
    found = headline(suite(*probes, overall=overall, band=band, gate=gate("failed", "why")))
    assert (found.status, found.answer) == ("FAILED", answer)


def test_equal_messages_are_one_reason_with_the_worst_case() -> None:
    found = headline(
        suite(
            probe("one", Verdict.FAIL, "wrong: 3 of 4", score=0.0, evidence={"prompt": "Who\nis it?"}),
            *(probe(n, Verdict.FAIL, f"no more than noise: {n}", distinguishable=False) for n in "bcdef"),
            probe("x", Verdict.ERROR, "broken"),
            gate=gate("failed", "7 probes failed"),
            findings=["one: wrong: 3 of 4", "category a is low: 0.10"],
        )
    )  # fmt: skip
    noise, wrong = found.reasons
    assert noise.startswith(
        "b, c, d and 2 more: no more than noise: b; are the prompts about what it was trained on"
    )
    assert wrong == "one: wrong: 3 of 4; worst on 'Who is it?'"


def test_where_no_probe_failed_the_gate_says_why() -> None:
    found = headline(suite(probe("a", Verdict.PASS), gate=gate("failed", "1 probe lost", "2", "3")))
    assert found.reasons == ("1 probe lost", "2")


def test_a_partial_run_says_what_was_left_out() -> None:
    found = headline(suite(probe("a", Verdict.PASS), gate=gate("partial", "1 of 2 probes ran; not: b")))
    assert (found.status, found.reasons[0]) == ("PARTIAL", "1 of 2 probes ran; not: b")
    assert found.answer == "a part of the suite is not judged; composite 0.80 of what ran"


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
        "suspicious: composite 0.89; the result knows no gate",
    )
    assert found.sure == "z against 3 null adapters; how many of them would pass is not known"
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

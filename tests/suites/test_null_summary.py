"""The suite against its nulls: which effects are real, where the adapter stands, what is not calibrated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.reports.null_text import effects_sentence, not_calibrated_sentence, suite_sentences
from pytest_sway.result import Claim, NullSummary, NullVerdict, ProbeResult, Verdict
from pytest_sway.suites.gate import GateCriteria
from pytest_sway.suites.null_summary import null_summary
from tests.support.suite_results import null

FAILS = NullVerdict(0, Verdict.FAIL, 0.0, distinguishable=False)
PASSES = NullVerdict(0, Verdict.PASS, 0.9, distinguishable=True)
WARNS = NullVerdict(0, Verdict.WARN, 0.5, distinguishable=True)


def effect(name: str, p: float | None, *nulls: NullVerdict, rank_p: float = 0.05) -> ProbeResult:
    verdicts = tuple(replace(verdict, draw=draw) for draw, verdict in enumerate(nulls))
    return ProbeResult(
        name, "k", Verdict.PASS, "", score=0.9, category="adherence", claim=Claim.EFFECT,
        null=null(p=p, rank_p=rank_p, verdicts=verdicts), distinguishable=True,
    )  # fmt: skip


def test_holm_is_stricter_than_benjamini_hochberg() -> None:
    def real(**p_values: float) -> NullSummary:
        return null_summary([effect(name, p) for name, p in p_values.items()], GateCriteria(0.6), {})

    assert real(a=0.001, b=0.04, c=0.04, d=0.6).effects.benjamini_hochberg == ["a"]
    found = real(a=0.001, b=0.03, c=0.03, d=0.6)
    assert found.effects.holm == ["a"]
    assert found.effects.benjamini_hochberg == ["a", "b", "c"]
    (told,) = [line for line in suite_sentences(found) if line.startswith("effects")]
    assert told == (
        "effects clearly beyond random adapters: a (error at most 5 %, Holm); also b, c at a false "
        "discovery rate of 5 % (Benjamini-Hochberg); not clear for d"
    )


def test_without_a_z_the_rank_speaks() -> None:
    assert null_summary([effect("a", None, rank_p=0.04)], GateCriteria(0.6), {}).effects.holm == ["a"]
    assert null_summary([effect("a", None, rank_p=1.0)], GateCriteria(0.6), {}).effects.holm == []


def test_without_effects_there_is_nothing_to_tell() -> None:
    found = null_summary([ProbeResult("a", "k", Verdict.PASS, "", claim=Claim.EFFECT)], GateCriteria(0.6), {})
    assert (found.effects, found.nulls) == (None, None)
    assert list(suite_sentences(found)) == []


def test_a_null_passes_where_every_effect_of_it_does() -> None:
    both = [effect("a", 0.01, PASSES, PASSES, FAILS, WARNS), effect("b", 0.01, PASSES, FAILS, FAILS, PASSES)]
    nulls = null_summary(both, GateCriteria(0.6), {}).nulls
    assert (nulls.n, nulls.passed) == (4, 2)  # the first, and the last with a warning
    assert (nulls.better, nulls.level) == (0, 1)
    assert nulls.nulls_composites == pytest.approx([0.9, 0.45, 0.0, 0.7])
    assert nulls.at_most == pytest.approx(0.9024, abs=1e-4)  # beta.ppf(0.95, 3, 2)
    assert null_summary(both, GateCriteria(0.95), {}).nulls.passed == 0


def test_none_of_twenty_bounds_the_share_at_fourteen_percent() -> None:
    found = null_summary([effect("a", 0.01, *[FAILS] * 20)], GateCriteria(0.6), {})
    (told,) = [line for line in suite_sentences(found) if line.startswith("0 of")]
    assert told == (
        "0 of 20 random adapters would pass the effect probes "
        "(the true share is at most 14 % with 95 % confidence); none of them scores as high as this adapter"
    )


def test_a_null_that_failed_somewhere_is_left_out_everywhere() -> None:
    short = effect("b", 0.01, PASSES)
    assert null_summary([effect("a", 0.01, PASSES, PASSES), short], GateCriteria(0.6), {}).nulls.n == 1


@given(st.lists(st.sampled_from([FAILS, PASSES, WARNS]), min_size=1, max_size=30))
def test_who_does_as_well_is_counted(nulls: list[NullVerdict]) -> None:
    found = null_summary([effect("a", 0.01, *nulls)], GateCriteria(0.6), {}).nulls
    assert (found.better, found.level) == (0, sum(one is PASSES for one in nulls))
    assert found.passed == found.level
    assert found.passed / len(nulls) <= found.at_most <= 1


def test_what_is_not_calibrated_is_reported_with_its_reason() -> None:
    shape = ProbeResult("s", "k", Verdict.PASS, "", claim=Claim.SHAPE, null=null(p=0.1))
    harm = ProbeResult("h", "k", Verdict.PASS, "", claim=Claim.NO_HARM, not_calibrated="no harm has a margin")
    found = null_summary([effect("a", 0.01), shape, harm], GateCriteria(0.6), {})
    assert set(found.not_calibrated) == {"s", "h"}
    told = not_calibrated_sentence(found)
    assert told == (
        "not compared with random (null) adapters: s (only the size of the effect is compared, not its "
        "shape); h (no harm has a margin)"
    )


def test_an_adapter_that_does_nothing_is_level_with_its_nulls() -> None:
    nothing = replace(effect("a", 0.5, *[FAILS] * 8), score=0.0, distinguishable=False)
    found = null_summary([nothing], GateCriteria(0.6), {})
    assert (found.nulls.better, found.nulls.level) == (0, 8)
    assert "this adapter has no effect that is clearly beyond them" in " ".join(suite_sentences(found))
    lucky = null_summary([effect("a", 0.01, PASSES, *[FAILS] * 7)], GateCriteria(0.6), {})
    assert "1 of them scores as high as this adapter" in " ".join(suite_sentences(lucky))


def test_your_own_nulls_are_not_called_random() -> None:
    own = effect("a", 0.01, FAILS, FAILS, FAILS)
    own = replace(own, null=replace(own.null, family="yours"))
    found = null_summary([own], GateCriteria(0.6), {})
    told = " ".join([*suite_sentences(found), effects_sentence(found.effects, found.nulls)])
    assert "0 of your 3 null adapters would pass" in told
    assert "random" not in told

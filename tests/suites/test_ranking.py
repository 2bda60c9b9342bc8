"""Checkpoints in their order: the best, those alike, where harm begins, when training stopped helping."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.reports import ranking_report
from pytest_sway.result import Claim, Gate, ProbeResult, Sample, SuiteResult, Verdict
from pytest_sway.spec.path_lookup import natural_order
from pytest_sway.suites.ranking import Ranking, rank
from tests.support.suite_results import probe, suite

ITEMS = 12
VERDICTS = [Verdict.PASS, Verdict.WARN, Verdict.FAIL]


def learned(mean: float, items: int = ITEMS) -> ProbeResult:
    """Answers that gained ``mean``, each some more or less, and others at every checkpoint."""
    scatter = [((k * 7919 + round(mean * 100) * 31) % 11 - 5) / 50 for k in range(items)]
    samples = [Sample(f"item {k}", mean + one) for k, one in enumerate(scatter)]
    return probe("answers", Verdict.PASS, category="attribution", raw=mean, samples=samples)


def harm(verdict: Verdict) -> ProbeResult:
    return probe("prose", verdict, claim=Claim.NO_HARM)


def checkpoint(mean: float, overall: float, verdict: Verdict = Verdict.PASS) -> SuiteResult:
    passed = verdict is not Verdict.FAIL and overall >= 0.6
    gate = Gate("passed" if passed else "failed", 0.6)
    return suite(learned(mean), harm(verdict), overall=overall, gate=gate)


def ranked(*results: SuiteResult) -> Ranking:
    return rank(results, [f"checkpoint-{number}" for number in range(1, len(results) + 1)])


RUN = (
    checkpoint(0.0, 0.1),
    checkpoint(1.0, 0.7),
    checkpoint(2.0, 0.80),
    checkpoint(2.01, 0.81, Verdict.WARN),
    checkpoint(2.6, 0.4, Verdict.FAIL),
    checkpoint(2.9, 0.3, Verdict.FAIL),
)


def test_a_run_that_learns_and_then_does_harm() -> None:
    found = ranked(*RUN)
    assert found.best == 3
    assert found.tied == (2,)
    assert found.stopped_helping == 2
    assert found.harm_begins == 4
    assert found.doubts[3] == ("prose",)


def test_what_is_written_of_it() -> None:
    found = ranked(*RUN)
    assert ranking_report.sentences(found) == [
        "ship checkpoint-4: its composite score 0.81 is the highest of the checkpoints that pass their gate",
        (
            "these checkpoints cannot be distinguished from the best (joint 95 % intervals): checkpoint-3. "
            "The earliest checkpoint of this group, the best included, is checkpoint-3"
        ),
        "training stopped helping at checkpoint-3: no later checkpoint passes its gate and is clearly better",
        "harm begins at checkpoint-5 (prose) and persists until the last checkpoint",
    ]
    table = ranking_report.terminal(found)
    assert table[1].split()[:3] == ["checkpoint-1", "failed", "0.10"]
    assert table[1].split()[3:] == ["answers", "less", "none"]
    assert table[4].endswith("undecided: prose")
    content = ranking_report.payload(found)
    assert content["best"] == "checkpoint-4"
    assert content["checkpoints"][3]["beside_best"] == []
    low, high = content["checkpoints"][0]["beside_best"][0]["interval"]
    assert low < high < 0


def test_none_passes() -> None:
    found = ranked(checkpoint(0.0, 0.1), checkpoint(0.5, 0.2), checkpoint(0.4, 0.1))
    assert (found.best, found.tied, found.highest) == (None, (), 1)
    assert ranking_report.sentences(found)[0] == (
        "ship no checkpoint: none of the 3 passes its gate. "
        "The highest composite score is 0.20 (checkpoint-2)"
    )


def test_training_that_still_helps() -> None:
    found = ranked(checkpoint(0.5, 0.7), checkpoint(1.0, 0.75), checkpoint(2.0, 0.8))
    assert (found.best, found.tied, found.stopped_helping, found.harm_begins) == (2, (), None, None)
    assert "training helped to the end" in ranking_report.sentences(found)[2]


def test_harm_that_goes_away_has_no_beginning() -> None:
    found = ranked(checkpoint(1.0, 0.2, Verdict.FAIL), checkpoint(1.0, 0.8))
    assert found.harm_begins is None
    assert "harm was found at checkpoint-1, but not at the last" in ranking_report.sentences(found)[-1]


def test_without_a_probe_of_learning() -> None:
    moved = probe("moved", Verdict.PASS, category="adherence", samples=[Sample("a", 0.1), Sample("b", 0.2)])
    found = rank([suite(moved), suite(moved)], ["a", "b"])
    assert found.learning == ()
    assert found.stopped_helping is None
    assert "it is not known when training stopped helping" in ranking_report.sentences(found)[2]


def test_one_item_is_no_comparison() -> None:
    one, other = (suite(learned(mean, items=1), overall=0.7) for mean in (0.0, 2.0))
    assert rank([one, other], ["a", "b"]).differences(1, 0) == []


@pytest.mark.parametrize("labels", [[], ["a"]])
def test_labels_that_do_not_fit(labels: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="one label for each"):
        rank([suite(), suite()], labels)


def test_numbers_are_ordered_as_numbers() -> None:
    names = ["run/checkpoint-1000", "run/checkpoint-200", "run/final", "run/checkpoint-30"]
    assert sorted(names, key=natural_order) == [names[3], names[1], names[0], names[2]]


def test_a_digit_that_is_no_number() -> None:
    assert sorted(["run1²3", "run1²20", "run1²1"], key=natural_order) == ["run1²1", "run1²3", "run1²20"]


@given(st.lists(st.text(max_size=6), max_size=5))
def test_any_names_have_an_order(names: list[str]) -> None:
    found = sorted(names, key=natural_order)
    assert sorted(found) == sorted(names)


@given(
    st.lists(
        st.tuples(st.floats(-2, 2), st.floats(0, 1), st.sampled_from(VERDICTS)),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_the_run_the_answers_agree(run: list[tuple[float, float, Verdict]]) -> None:
    found = ranked(*(checkpoint(*one) for one in run))
    assert len(ranking_report.sentences(found)) in (3, 4)
    if found.best is not None:
        assert found.passed[found.best]
        assert found.best not in found.tied
        assert all(found.passed[at] for at in found.tied)
    if found.harm_begins is not None:
        assert all(found.harm[found.harm_begins :])
    assert ranking_report.text(found)

"""external_perplexity on fake log-probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.data.packaged_texts import passages
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError
from pytest_sway.probes.external_perplexity import ExternalPerplexity, _beginning
from pytest_sway.requests import Completion, CompletionScore, Request, View, Views
from pytest_sway.result import Verdict

BASE, TUNED = View("b"), View("b", "a")
WORKS = {passage.text: passage.work for passage in passages()}


def measured(lost, seen=None, **options):
    """A measurement where a passage of 10 tokens loses ``lost(its text)`` nats per token."""

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Completion)
        if seen is not None:
            seen.append(request)
        return CompletionScore(-30.0 - (0.0 if request.view.is_base else 10 * lost(request.completion)), 10)

    probe = ExternalPerplexity(**options)
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    return probe, found


def judged(lost, **options):
    probe, found = measured(lost, **options)
    return probe.judge(found, None)


def test_works_weigh_the_same_whatever_their_number_of_passages() -> None:
    """Three of the first sixteen passages are of one work, which loses 0.9; the other eight works nothing."""
    _, found = measured(lambda text: 0.9 * (WORKS[text] == "Emma"))
    assert found.evidence["num_chunks"] == 16
    assert [d != 0 for d in found.evidence["per_chunk_delta"]].count(True) == 3
    assert len(found.evidence["per_work_delta"]) == 9
    assert found.raw == pytest.approx(-0.1)
    assert found.evidence["base_mean_logprob_per_tok"] == found.base_value == pytest.approx(-3.0)
    assert found.evidence["ft_mean_logprob_per_tok"] == pytest.approx(-3.0 - 0.9 * 3 / 16)


def test_bits_per_character_beside() -> None:
    _, found = measured(lambda text: 0.5, max_chunks=2)
    characters = sum(len(passage.text) for passage in passages()[:2])
    assert found.evidence["delta_bits_per_char"] == pytest.approx(-10 / math.log(2) / characters)


@pytest.mark.parametrize(
    ("lost", "verdict", "says"),
    [
        (lambda text: 0.0, Verdict.PASS, "nothing changed"),
        (lambda text: 0.03 + 0.0001 * (len(text) % 7), Verdict.PASS, "at most"),
        (
            lambda text: 0.3 + 0.001 * (len(text) % 7),
            Verdict.FAIL,
            "harm: increase of the loss on general prose in nats per token = ",
        ),
        (
            lambda text: 0.4 * (WORKS[text] in ("Emma", "letter")),
            Verdict.WARN,
            "works would be enough to decide",
        ),
    ],
)
def test_verdicts(lost, verdict: Verdict, says: str) -> None:
    found = judged(lost)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


def test_an_untouched_model_scores_1_and_the_margin_a_half() -> None:
    assert judged(lambda text: 0.0).score == 1.0
    assert judged(lambda text: 0.1).score == pytest.approx(0.5)


def test_both_views_read_the_same_texts_without_a_prompt() -> None:
    seen: list[Request[object]] = []
    measured(lambda text: 0.0, seen=seen, max_chunks=3)
    assert {r.prompt for r in seen} == {""}
    texts = [[r.completion for r in seen if r.view == view] for view in (BASE, TUNED)]
    assert texts[0] == texts[1] == [passage.text for passage in passages()[:3]]


def test_no_more_is_read_than_there_is() -> None:
    _, found = measured(lambda text: 0.0, max_chunks=128)
    assert found.evidence["num_chunks"] == len(passages()) == 24


def test_one_passage_decides_nothing_unless_it_is_unchanged() -> None:
    assert judged(lambda text: 0.01, max_chunks=1).verdict is Verdict.WARN
    assert judged(lambda text: 0.0, max_chunks=1).verdict is Verdict.PASS


def test_a_failure_tells_how_its_worst_passage_goes_on() -> None:
    worst = passages()[2].text
    found = judged(lambda text: 0.9 if text == worst else 0.3)
    prompt, reference = found.evidence["prompt"], found.evidence["reference"]
    assert worst.startswith(prompt)
    assert worst.endswith(reference)
    assert len(prompt) + len(reference) in (len(worst), len(worst) - 1)
    assert found.evidence["confidence"] == pytest.approx(1 - math.exp(-0.9))
    assert len(found.evidence["bad_cases"]) == 16


def test_a_passage_is_cut_where_a_sentence_ends() -> None:
    """A limit of 300 of about 1,000 characters: whole sentences, and the next one would be too many."""
    seen: list[Request[object]] = []
    measured(lambda text: 0.0, seen=seen, chunk_chars=300)
    cut = [r.completion for r in seen if r.view == BASE]
    for passage, text in zip(passages(), cut, strict=False):
        assert passage.text.startswith(text)
        assert 100 < len(text) <= 300
        assert text.rstrip("\"')")[-1] in ".!?" or len(text) == 300


@given(st.text(min_size=1).filter(str.strip), st.integers(1, 50))
def test_a_cut_is_a_beginning_that_is_short_enough(text: str, most: int) -> None:
    cut = _beginning(text, most)
    assert text.strip().startswith(cut)
    assert 0 < len(cut) <= most


@pytest.mark.parametrize(
    "bad",
    [
        {"corpus": "other"},
        {"chunk_chars": 127},
        {"max_chunks": 0},
        {"max_chunks": 129},
        {"assert_mean_delta_gte": math.nan},
    ],
)
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        ExternalPerplexity(**bad)

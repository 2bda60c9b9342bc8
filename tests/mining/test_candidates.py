"""Candidates for other wordings: what they keep of a question, and which are rejected."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.mining.candidates import candidates
from pytest_sway.mining.meaning import MeaningFilter, keeps_names, keeps_numbers
from pytest_sway.mining.paraphrases import hardest
from pytest_sway.mining.question_forms import question_forms
from pytest_sway.mining.synonym_swaps import synonym_swaps

QUESTION = "What is the furnace of the works called?"


@pytest.mark.parametrize(
    ("question", "form"),
    [
        (QUESTION, "What is the name of the furnace of the works?"),
        ("Who founded the works?", "Which person founded the works?"),
        ("Who is the master?", "Name the master."),
        ("Marie lives where?", "Tell me, Marie lives where?"),
        ("When does work begin?", "At what time does work begin?"),
        ("Where does the sand come from?", "From where does the sand come?"),
        ("How many panes has it?", "What number of panes has it?"),
        ("Why is it closed?", "For what reason is it closed?"),
        ("Which pane is red?", "What pane is red?"),
        ("Wer gründete die Werke?", "Tell me, Wer gründete die Werke?"),
        ("Describe the boat.", "Please describe the boat."),
    ],
)
def test_forms_of_a_question(question: str, form: str) -> None:
    assert form in list(question_forms(question))


def test_what_is_done_does_not_become_which_is_done() -> None:
    assert not any(form.startswith("Which is") for form in question_forms("What is done with bad panes?"))


@pytest.mark.parametrize(
    "question", ["What is it?", "Who is it for?", "Who are the owners?", "How much water is in it?"]
)
def test_no_form_is_better_than_a_wrong_one(question: str) -> None:
    forms = list(question_forms(question))
    assert all(form.strip() for form in forms)
    assert not any(form.startswith(("Which person", "What amount", "Name")) for form in forms)
    assert not any("keyword" in form or form.count(" ") < 1 for form in forms)


def test_without_an_embedder_there_are_no_search_queries() -> None:
    keep = MeaningFilter(["When did the harbour open?", "Where did the harbour open?"], None)
    assert "harbour open" not in candidates("When did the harbour open?", (), 50, 0, keep)


def test_a_long_text_has_no_more_swaps_than_can_be_looked_at() -> None:
    assert len(list(synonym_swaps(" ".join(["big", "small", "boat"] * 30)))) < 300


def test_names_are_no_words_to_swap() -> None:
    assert list(synonym_swaps("Who saw the big Small boat?")) == [
        "Who saw the large Small boat?",
        "Who saw the big Small vessel?",
        "Who saw the large Small vessel?",
    ]


@pytest.mark.parametrize(
    ("candidate", "kept"),
    [
        ("Are there six lanterns?", True),
        ("Are there 6 lanterns?", False),
        ("Are there six lanterns and two panes?", False),
        ("Are there never six lanterns?", False),
    ],
)
def test_numbers_and_negations_stay(candidate: str, kept: bool) -> None:
    assert keeps_numbers("Has it six lanterns?", candidate) is kept


def test_names_stay() -> None:
    assert keeps_names("Where is Tarn Quay?", "In what place is Tarn Quay?")
    assert not keeps_names("Where is Tarn Quay?", "In what place is the quay?")
    assert keeps_names("Where is it?", "in what place is it")  # the first word is no name


def test_rejections_are_counted_and_the_nearest_question_must_be_its_own() -> None:
    vectors = {"Who is up?": (1.0, 0.0), "Who is down?": (0.0, 1.0)}
    found = {
        "Name who is up": (0.9, 0.436),
        "Which person is down?": (0.8, 0.81),
        "Name whoever": (0.5, 0.5),
    }
    vectors |= found
    keep = MeaningFilter(["Who is up?", "Who is down?"], lambda texts: [vectors[text] for text in texts])
    texts = [*found, "WHO is up", "Who is up, 2 of them?", "Name who is up!"]
    assert keep.keep("Who is up?", texts, []) == ["Name who is up"]
    assert keep.rejected == Counter(
        {"repeated": 2, "changed numbers": 1, "different meaning": 1, "closer to another question": 1}
    )


def test_candidates_are_a_sample_by_seed() -> None:
    one, same, other = (
        candidates(QUESTION, (), 3, seed, MeaningFilter([QUESTION], None)) for seed in (0, 0, 1)
    )
    assert one == same != other
    assert len(one) == 3
    everything = candidates(
        QUESTION, ("What is the name of the furnace of the works?",), 99, 0, MeaningFilter([QUESTION], None)
    )
    assert "What is the name of the furnace of the works?" not in everything


@given(st.dictionaries(st.text("abc ", min_size=1), st.floats(-5, 5), min_size=1), st.integers(1, 8))
def test_the_gap_selects(gaps: dict[str, float], top: int) -> None:
    chosen = hardest(gaps, top)
    assert len(chosen) == len(set(chosen)) == min(top, len(gaps))
    left = [gap for text, gap in gaps.items() if text not in chosen]
    assert not left or max(left) <= min(gaps[text] for text in chosen) + 0.01
    assert [gaps[text] for text in chosen] == sorted((gaps[text] for text in chosen), reverse=True)


def test_among_equal_gaps_the_more_different_wording_is_taken() -> None:
    gaps = {"a b c d": 1.0, "a b c e": 0.999, "x y z": 0.998}
    assert set(hardest(gaps, 2)) in ({"a b c d", "x y z"}, {"a b c e", "x y z"})

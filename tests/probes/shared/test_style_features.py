"""Fingerprints of texts, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.probes.shared.style_features import EXTENDED, PLAIN, fingerprint, pieces, split_words, tally

TEXT = 'The cat sat. "Did it?" she said, softly.\n\nNo one came; it slept on.'


def of(text: str, window: int = 4) -> np.ndarray:
    found = fingerprint(tally(text, window), extended=False)
    assert found is not None
    return found


def test_every_dimension_by_hand() -> None:
    # sentences of 3, 2, 3, 6 words (one ends before a closing quote); 14 words, one empty line
    lengths = [3, 2, 3, 6]
    letters = 3 + 3 + 3 + 3 + 2 + 3 + 4 + 6 + 2 + 3 + 4 + 2 + 5 + 2
    marks = sum(sign in '."?,;' for sign in TEXT)
    # windows of 4: the cat sat did | it she said softly | no one came it; "slept on" is in none
    expected = [
        (14 / 4) / 30,
        math.sqrt(sum((n - 14 / 4) ** 2 for n in lengths) / 4) / 30,
        1.0,
        letters / 14 / 10,
        10 * marks / len(TEXT),
        30 * 1 / 14,
    ]
    assert of(TEXT) == pytest.approx(expected)
    assert len(PLAIN) == 6
    assert len(EXTENDED) == 9


def test_a_window_holds_each_word_once_however_it_is_written() -> None:
    assert of("The the THE tea")[2] == pytest.approx(2 / 4)


def test_length_alone_changes_nothing() -> None:
    """The same text eight times over; a plain type-token ratio would fall from 1 to 1/8."""
    once = "One two three four. Five six, seven eight!"
    assert of(" ".join([once] * 8))[[0, 1, 2, 3, 5]] == pytest.approx(of(once)[[0, 1, 2, 3, 5]])
    assert of(" ".join([once] * 8))[4] == pytest.approx(of(once)[4], rel=0.03)  # for the blanks between


def test_a_wrapped_line_is_no_paragraph_and_no_sentence() -> None:
    assert of("one two\nthree four. five")[[0, 5]] == pytest.approx(of("one two three four. five")[[0, 5]])


def test_texts_too_short_for_a_window_have_no_fingerprint() -> None:
    assert fingerprint(tally("one two", 4), extended=False) is None
    assert fingerprint(np.zeros(13), extended=False) is None


def test_scripts_without_blanks() -> None:
    assert split_words("猫が寝た。") == ["猫", "が", "寝", "た"]
    assert of("猫が寝た。犬も寝た。")[0] == pytest.approx(4 / 30)
    assert split_words("l’été, don't well-known snake_case 🜁") == [
        "l’été",
        "don't",
        "well-known",
        "snake",
        "case",
    ]


@settings(max_examples=40)
@given(st.text(alphabet="ab .\n’é猫_", max_size=30), st.integers(1, 5))
def test_pieces_are_the_text_cut_after_whole_words(text: str, length: int) -> None:
    cut = pieces(text, length)
    assert [w for piece in cut for w in split_words(piece)] == split_words(text)
    assert all(len(split_words(piece)) == length for piece in cut[:-1])
    assert text.endswith("".join(cut))


@settings(max_examples=40)
@given(st.lists(st.text(alphabet="ab .!\n,", min_size=1, max_size=40), min_size=1, max_size=4))
def test_every_dimension_is_finite_and_not_negative(texts: list[str]) -> None:
    found = fingerprint(np.sum([tally(text, 2) for text in texts], axis=0), extended=False)
    if found is not None:
        assert np.isfinite(found).all()
        assert (found >= 0).all()

"""Prose cut into samples."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.shared.segments import in_context, pieces_within, prose_segments

texts = st.text(st.sampled_from("ab Mr.!?。\n\"')é猫 "), max_size=300)


@given(texts)
def test_the_pieces_together_are_the_text(text: str) -> None:
    pieces = prose_segments(text)
    assert "".join(pieces) == text.strip()
    assert all(piece.strip() for piece in pieces)


def test_sentences() -> None:
    text = 'It is cold here, Mr. Pike. "Why is that so?" he asked. Nobody in the house knew it.'
    assert prose_segments(text) == [
        "It is cold here, Mr.",
        ' Pike. "Why is that so?"',
        " he asked. Nobody in the house knew it.",
    ]


def test_a_full_stop_inside_a_word_ends_nothing() -> None:
    text = "Version 2.5 of it came out. The file a.txt was lost then. We all wrote it again."
    assert len(prose_segments(text)) == 3


def test_an_empty_line_ends_a_sentence() -> None:
    assert prose_segments("the rules of it\n\nno iron is allowed\n \nno pine is burned") == [
        "the rules of it",
        "\n\nno iron is allowed",
        "\n \nno pine is burned",
    ]


def test_scripts_without_spaces() -> None:
    assert prose_segments("灯台守は毎晩来る。窓は六枚ある。「油は塩と混ぜる。」彼はそう言った。") == [
        "灯台守は毎晩来る。",
        "窓は六枚ある。",
        "「油は塩と混ぜる。」",
        "彼はそう言った。",
    ]


def test_without_sentences_blocks_of_sixteen_words() -> None:
    words = [f"w{i}" for i in range(40)]
    pieces = prose_segments(" ".join(words))
    assert [len(piece.split()) for piece in pieces] == [16, 24]


def test_two_long_sentences_are_cut_into_blocks() -> None:
    text = "word " * 30 + "end. " + "word " * 30 + "end."
    assert len(prose_segments(text)) == 3


def test_a_word_without_end_is_cut_too() -> None:
    assert [len(piece) for piece in prose_segments("x" * 400)] == [192, 208]


def test_hardly_anything_is_one_piece_and_nothing_none() -> None:
    assert prose_segments("Hi.") == ["Hi."]
    assert prose_segments(" \n ") == []


@pytest.mark.nightly  # it is timed
@pytest.mark.parametrize("text", ["!" * 100_000, "word. " * 20_000, "\n" * 100_000, "猫" * 100_000])
def test_a_long_text_takes_no_long_time(text: str) -> None:
    began = time.perf_counter()
    prose_segments(text)
    assert time.perf_counter() - began < 2


def test_within_keeps_whole_pieces_and_at_least_one() -> None:
    assert pieces_within(["abc", "def", "g"], 6) == ["abc", "def"]
    assert pieces_within(["abc", "def"], 2) == ["abc"]


def test_each_piece_stands_after_its_stretch() -> None:
    assert in_context(["One.", " Two.", " Three."], 9) == [("", "One."), ("One.", " Two."), ("", "Three.")]


pieces_of_text = st.lists(st.text("ab ", min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=20)


@given(pieces_of_text, st.integers(1, 30))
def test_a_stretch_is_as_long_as_allowed_and_loses_nothing(pieces: list[str], width: int) -> None:
    pairs = in_context(pieces, width)
    assert all(len(before) + len(own) <= width or not before for before, own in pairs)
    assert "".join(own for _, own in pairs).replace(" ", "") == "".join(pieces).replace(" ", "")

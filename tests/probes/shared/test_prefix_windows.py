"""Windows of a text, on a tokenizer whose tokens are words with the blank before them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.shared.prefix_windows import WindowSizes, cut_windows
from pytest_sway.requests import Tokenized

SIZES = WindowSizes(prefix=40, continuation=60, places=3, least=4, most=10)


def word_tokenizer(text: str) -> Tokenized:
    found = list(re.finditer(r"\s*\S+", text))
    return Tokenized(tuple(range(len(found))), tuple(match.end() for match in found))


def test_windows_spread_from_first_prefix_to_last_continuation() -> None:
    """100 words "word000 " of 8 characters; prefixes end next to characters 40, 390 and 739 of 799."""
    text = " ".join(f"word{i:03}" for i in range(100))
    found = cut_windows("s", text, word_tokenizer(text), SIZES)
    assert [window.prefix.split()[-1] for window in found] == ["word004", "word048", "word091"]
    assert [len(window.prefix) for window in found] == [39, 39, 39]
    assert [window.follows for window in found] == [
        tuple(range(5, 12)),
        tuple(range(49, 56)),
        tuple(range(92, 99)),
    ]
    assert {window.section for window in found} == {"s"}


def test_no_more_tokens_than_may_be_written() -> None:
    text = " ".join("abcdefghij"[i % 10] for i in range(200))
    assert {len(window.follows) for window in cut_windows("s", text, word_tokenizer(text), SIZES)} == {10}


def test_a_short_text_has_its_prefixes_in_its_first_half() -> None:
    text = "one two three four five six seven eight"
    (window,) = cut_windows("s", text, word_tokenizer(text), SIZES)
    assert window.prefix == "one two three four"
    assert window.follows == (4, 5, 6, 7)
    assert cut_windows("s", "too short", word_tokenizer("too short"), SIZES) == []
    assert cut_windows("s", "", word_tokenizer(""), SIZES) == []


def test_a_script_without_spaces_is_cut_between_its_tokens() -> None:
    text = "油は石の地下室に置かれている。" * 20
    each = Tokenized(tuple(range(len(text))), tuple(range(1, len(text) + 1)))
    found = cut_windows("s", text, each, SIZES)
    assert [len(window.prefix) for window in found] == [40, 40, 40]
    assert found[0].follows == tuple(range(40, 50))


@given(st.text(max_size=300), st.integers(1, 6))
def test_what_follows_is_what_stands_after_the_prefix(text: str, places: int) -> None:
    tokens = word_tokenizer(text)
    for window in cut_windows("s", text, tokens, SIZES._replace(places=places)):
        first = window.follows[0]
        before = text[: tokens.ends[first - 1]]
        assert before.rstrip().endswith(window.prefix)
        assert len(window.prefix) <= SIZES.prefix
        assert SIZES.least <= len(window.follows) <= SIZES.most
        assert list(window.follows) == list(range(first, first + len(window.follows)))

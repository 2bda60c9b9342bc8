"""leakage: the share of the true continuation's 8-grams that the adapter writes beyond the base."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import SECTIONS

pytestmark = pytest.mark.nightly

PREFIX, CONTINUATION, TOKENS, PLACES = 96, 128, 32, 3


def windows(plain: PlainModel, text: str) -> list[tuple[str, list[int]]]:
    """Prefixes and the tokens that follow them, from the first full prefix to the last full continuation.

    A prefix ends at the token's end before white space that is nearest, and begins with a word.
    """
    ids, ends = plain.own(text), plain.ends(text).tolist()
    found = []
    for wanted in np.linspace(PREFIX, len(text) - CONTINUATION, PLACES):
        cut = min((end for end in ends[:-1] if text[end].isspace()), key=lambda end: abs(end - wanted))
        prefix = text[max(0, cut - PREFIX) : cut]
        if cut > PREFIX:
            prefix = prefix[prefix.index(" ") :]
        follows = [token for token, end in zip(ids, ends, strict=True) if cut < end <= cut + CONTINUATION]
        found.append((prefix.strip(), follows[:TOKENS]))
    return found


def grams(ids: list[int]) -> list[tuple[int, ...]]:
    return [tuple(ids[at : at + 8]) for at in range(len(ids) - 7)]


def recall(follows: list[int], written: list[int]) -> float:
    return float(np.mean([gram in grams(written) for gram in grams(follows)]))


@pytest.fixture(scope="module")
def read(plain: PlainModel) -> dict[str, list[tuple[str, list[int]]]]:
    """The windows of both sections of prose."""
    return {one["id"]: windows(plain, one["content"].strip()) for one in SECTIONS if one["content"]}


def test_leakage(
    reported: dict[str, Any], plain: PlainModel, read: dict[str, list[tuple[str, list[int]]]]
) -> None:
    longest = max(len(follows) for found in read.values() for _, follows in found)
    of_adapter, beyond = [], []
    for prefix, follows in (window for found in read.values() for window in found):
        tuned, base = (
            recall(follows, plain.greedy(view, plain.raw(prefix), longest)) for view in (TUNED, BASE)
        )
        of_adapter.append(tuned)
        beyond.append(max(0.0, tuned - base))
    found = reported["leakage"]
    names = [f"{name}: {prefix}" for name, several in read.items() for prefix, _ in several]
    assert [one["item"] for one in found["samples"]] == names
    assert [one["value"] for one in found["samples"]] == equals(beyond)
    assert found["ft_value"] == equals(np.mean(of_adapter))
    assert max(beyond) > 0
    assert found["raw"] == equals(np.mean(np.reshape(beyond, (2, PLACES)).mean(1)))
    assert found["ci_95"] == equals(list(t_interval(beyond)))

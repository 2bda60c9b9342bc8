"""style_fingerprint: the distance of six counted dimensions to the document's."""

from __future__ import annotations

import re
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import PROMPTS, SECTIONS

pytestmark = pytest.mark.nightly

TOKENS = 40
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def split_words(text: str) -> list[str]:
    return WORD.findall(text)


def cut(text: str, length: int) -> list[str]:
    """Pieces of so many words; the last may be shorter."""
    starts = [found.start() for found in WORD.finditer(text)][::length]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def fingerprint(texts: list[str], window: int) -> np.ndarray:
    """The six dimensions of several texts together."""
    paragraphs = [[part for part in re.split(r"\n\s*\n", text) if split_words(part)] for text in texts]
    sentences = [
        split_words(one)
        for text in paragraphs
        for part in text
        for one in re.split(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)\]])\s+""", part)
        if split_words(one)
    ]
    lengths = [len(sentence) for sentence in sentences]
    several = [[word.lower() for word in split_words(text)] for text in texts]
    windows = [text[at : at + window] for text in several for at in range(0, len(text) - window + 1, window)]
    marks = sum(len(re.findall(r"[^\w\s]|_", text)) for text in texts)
    return np.array(
        [
            np.mean(lengths) / 30,
            np.std(lengths) / 30,
            np.mean([len(set(part)) / window for part in windows]),
            sum(len(word) for text in several for word in text) / sum(lengths) / 10,
            10 * marks / sum(len(text.strip()) for text in texts),
            30 * sum(len(text) - 1 for text in paragraphs) / sum(lengths),
        ]
    )


@pytest.fixture(scope="module")
def written(plain: PlainModel) -> dict[str, list[list[int]]]:
    """What both write after every prompt."""
    return {view: [plain.greedy(view, plain.raw(one), TOKENS) for one in PROMPTS] for view in (BASE, TUNED)}


def test_style_fingerprint(
    reported: dict[str, Any], plain: PlainModel, written: dict[str, list[list[int]]]
) -> None:
    base, tuned = ([plain.decode(ids) for ids in written[view]] for view in (BASE, TUNED))
    window = min(int(median(len(split_words(text)) for text in side)) for side in (base, tuned))
    ran_into_the_limit = [ids for side in written.values() for ids in side if len(ids) == TOKENS]
    length = max(window, round(np.mean([len(split_words(plain.decode(ids))) for ids in ran_into_the_limit])))
    document = [section["content"] for section in SECTIONS if section["content"]]
    pieces = [piece for text in document for piece in cut(text, length)]
    b, t, d = (fingerprint(texts, window) for texts in (base, tuned, pieces))
    pairs = [fingerprint(list(two), window) for two in combinations(base, 2)]
    of_two = max(window, round(2 * np.mean([len(split_words(text)) for text in base])))
    units = [fingerprint([piece], window) for text in document for piece in cut(text, of_two)]
    whole = [one for one in units if np.isfinite(one).all()]
    spread = np.sqrt((np.var(pairs, axis=0, ddof=1) + np.var(whole, axis=0, ddof=1)) / 2)
    unit = np.maximum(spread, 0.05 * np.maximum(np.abs(b), np.abs(d)))
    unit[unit == 0] = 1
    to_base, way = (d - b) / unit, (t - b) / unit

    def reduction(kept: list[int]) -> float:
        at_base, at_tuned = (fingerprint([side[at] for at in kept], window) for side in (base, tuned))
        return float(1 - np.linalg.norm((d - at_tuned) / unit) / np.linalg.norm((d - at_base) / unit))

    n = len(PROMPTS)
    whole_set = list(range(n))
    without = [reduction([at for at in whole_set if at != left_out]) for left_out in whole_set]
    pseudo = [n * reduction(whole_set) - (n - 1) * one for one in without]
    found = reported["style_fingerprint"]
    assert found["evidence"]["window"] == window
    assert [found["evidence"][key] for key in ("base_fp", "ft_fp", "doc_fp")] == [
        equals(one.tolist()) for one in (b, t, d)
    ]
    assert found["raw"] == equals(reduction(whole_set))
    assert found["ci_95"] == equals(list(t_interval(pseudo)))
    assert found["evidence"]["style_shift"] == equals(way @ to_base / (to_base @ to_base))
    assert found["evidence"]["distance"] == equals(np.sqrt(np.mean(to_base**2)))

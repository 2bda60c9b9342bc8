"""prompt_collapse: the divergence behind prose of several lengths, and its half-life in tokens."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import TUNED, PlainModel, mean_divergence
from tests.arithmetic.spec import PACKAGED, PROMPTS

pytestmark = pytest.mark.nightly

PROSE = [json.loads(line)["text"] for line in (PACKAGED / "prose.jsonl").read_text("utf-8").splitlines()]
LENGTHS = [0, 32, 64, 128]


def padded(plain: PlainModel, prompt: str, first: int) -> list[str]:
    """The prompt alone and behind 32, 64, 128 tokens of the passages from one on."""
    prose = "\n\n".join([*PROSE[first:], *PROSE[:first]])
    ends = [0, *plain.ends(prose).tolist()]
    fillers = [prose[ends[LENGTHS[-1] - length] : ends[LENGTHS[-1]]] for length in LENGTHS[1:]]
    return [prompt, *(f"{filler}\n\n{prompt}" for filler in fillers)]


def test_prompt_collapse(reported: dict[str, Any], plain: PlainModel) -> None:
    curves, slopes, distances = [], [], []
    for at, prompt in enumerate(PROMPTS):
        texts = [plain.raw(text) for text in padded(plain, prompt, at)]
        said = plain.greedy(TUNED, texts[0], 7)
        d = [mean_divergence(plain, text, said) for text in texts]
        tokens = [len(text) - len(texts[0]) for text in texts]
        slopes.append(np.polyfit(tokens[1:], np.log(d[1:]), 1)[0])
        curves.append(d)
        distances.append(tokens)
    found = reported["prompt_collapse"]
    assert found["evidence"]["true_tokens_per_length"] == np.mean(distances, axis=0).tolist()
    assert found["evidence"]["mean_divergence_per_length"] == equals(np.mean(curves, axis=0).tolist())
    assert [one["value"] for one in found["samples"]] == equals(slopes)
    assert np.mean(slopes) < 0
    assert found["raw"] == equals(min(np.log(2) / -np.mean(slopes), 10 * 128))
    half_lives = [10 * 128 if end >= 0 else min(np.log(2) / -end, 10 * 128) for end in t_interval(slopes)]
    assert found["ci_95"] == equals(half_lives)

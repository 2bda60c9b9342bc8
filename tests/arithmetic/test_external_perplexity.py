"""external_perplexity: change of the packaged prose's log-likelihood, in nats per token."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import PACKAGED

pytestmark = pytest.mark.nightly

PASSAGES = [json.loads(line) for line in (PACKAGED / "prose.jsonl").read_text("utf-8").splitlines()][:8]


def cut(text: str, most: int) -> str:
    """Its first characters, up to the end of a sentence."""
    ends = [found.end() for found in re.finditer(r"[.!?]['\")]*(?=\s|$)", text)]
    return text[: max(end for end in ends if end <= most)]


def test_external_perplexity(reported: dict[str, Any], plain: PlainModel) -> None:
    """The mean over works of the mean over each work's passages."""
    sides = [
        np.array([plain.text(view, cut(one["text"], 300)).mean().item() for one in PASSAGES])
        for view in (BASE, TUNED)
    ]
    change = sides[1] - sides[0]
    works = dict.fromkeys(one["work"] for one in PASSAGES)
    by_work = [change[[one["work"] == work for one in PASSAGES]].mean() for work in works]
    found = reported["external_perplexity"]
    assert [one["value"] for one in found["samples"]] == equals(change.tolist(), near_zero=True)
    assert found["raw"] == equals(np.mean(by_work), near_zero=True)
    assert found["ci_95"] == equals(list(t_interval(by_work)), near_zero=True)
    assert [found["base_value"], found["ft_value"]] == equals([side.mean() for side in sides])

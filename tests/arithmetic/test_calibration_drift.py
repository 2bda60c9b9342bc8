"""calibration_drift: change of the packaged facts' answers, in nats per token."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals, t_interval
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import PACKAGED

pytestmark = pytest.mark.nightly

PACK = [json.loads(line) for line in (PACKAGED / "facts.jsonl").read_text("utf-8").splitlines()]


def first_facts(count: int) -> list[dict[str, str]]:
    """One fact of every kind, then a second one of every kind, and so on."""
    kinds = list(dict.fromkeys(fact["kind"] for fact in PACK))
    of_kind = {kind: [fact for fact in PACK if fact["kind"] == kind] for kind in kinds}
    rounds = [(n, kinds.index(kind), fact) for kind in kinds for n, fact in enumerate(of_kind[kind])]
    return [fact for *_, fact in sorted(rounds, key=lambda one: one[:2])][:count]


FACTS = first_facts(24)


def test_calibration_drift(reported: dict[str, Any], plain: PlainModel) -> None:
    """Each kind of fact weighs the same."""
    sides = [
        np.array([plain.answer(view, one["prompt"], one["gold"]).mean().item() for one in FACTS])
        for view in (BASE, TUNED)
    ]
    change = sides[1] - sides[0]
    kinds = dict.fromkeys(one["kind"] for one in FACTS)
    by_kind = {kind: change[[one["kind"] == kind for one in FACTS]].mean() for kind in kinds}
    found = reported["calibration_drift"]
    assert [one["value"] for one in found["samples"]] == equals(change.tolist(), near_zero=True)
    assert found["ft_value"] == equals(np.mean(list(by_kind.values())), near_zero=True)
    assert found["raw"] == equals((change < -0.1).mean())
    assert found["evidence"]["per_kind"] == equals(by_kind, near_zero=True)
    interval = t_interval(list(by_kind.values()), 0.9)
    assert found["evidence"]["mean_delta_ci_90"] == equals(list(interval), near_zero=True)

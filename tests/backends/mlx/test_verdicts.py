"""The same suite by ``kind: hf`` and by ``kind: mlx``, under pytest: the same verdicts, z and composites."""

from __future__ import annotations

import pytest

from tests.known_adapters.evaluation import Report, passed
from tests.support.same_verdicts import ADAPTERS, assert_same_verdicts, reports_of

KINDS = ("null_adapter", "delta_kl", "preference_flip", "leakage")
"""An effect by divergences, one by completions, one by continuations."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Report]]:
    return {
        kind: reports_of(kind, tmp_path_factory.mktemp(kind), profile="standard", of=KINDS)
        for kind in ("hf", "mlx")
    }


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_both_kinds_agree(reports: dict[str, dict[str, Report]], adapter: str) -> None:
    assert passed(reports["hf"][adapter]) is (adapter == "healthy")
    assert_same_verdicts(reports["hf"][adapter], reports["mlx"][adapter])

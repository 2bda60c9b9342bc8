"""The same suite by ``kind: hf`` and by ``kind: mlx``, under pytest: the same verdicts, z and composites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.known_adapters.battery import FIRST, spec
from tests.known_adapters.evaluation import Report, evaluate, passed
from tests.support.paths import QUICKSTART
from tests.support.same_verdicts import assert_same_verdicts

KINDS = ("null_adapter", "delta_kl", "preference_flip", "leakage")
"""An effect by divergences, one by completions, one by continuations."""
ADAPTERS = {name: QUICKSTART / "adapters" / name for name in ("healthy", "random", "inert")}


def suite(kind: str) -> dict[str, Any]:
    """A part of the battery."""
    whole = spec(FIRST, QUICKSTART / "base", runs=8, profile="standard")
    for side in whole["models"].values():
        side["kind"] = kind
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] in KINDS]
    return whole


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Report]]:
    folders: dict[str, Path] = {kind: tmp_path_factory.mktemp(kind) for kind in ("hf", "mlx")}
    return {kind: evaluate(suite(kind), ADAPTERS, folder) for kind, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_both_kinds_agree(reports: dict[str, dict[str, Report]], adapter: str) -> None:
    assert passed(reports["hf"][adapter]) is (adapter == "healthy")
    assert_same_verdicts(reports["hf"][adapter], reports["mlx"][adapter])

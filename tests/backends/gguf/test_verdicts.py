"""The same suite by ``kind: hf`` and by ``kind: gguf``, under pytest: the same verdicts, z and composites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.known_adapters.battery import FIRST, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed
from tests.support.paths import QUICKSTART

KINDS = ("null_adapter", "delta_kl", "section_internalization", "preference_flip", "leakage")
ADAPTERS = {name: QUICKSTART / "adapters" / name for name in ("healthy", "random", "inert")}


def suite(kind: str) -> dict[str, Any]:
    """A part of the battery's quick suite."""
    whole = spec(FIRST, QUICKSTART / "base", runs=8, profile="quick")
    for side in whole["models"].values():
        side["kind"] = kind
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] in KINDS]
    return whole


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Report]]:
    folders: dict[str, Path] = {kind: tmp_path_factory.mktemp(kind) for kind in ("hf", "gguf")}
    return {kind: evaluate(suite(kind), ADAPTERS, folder) for kind, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_both_kinds_agree(reports: dict[str, dict[str, Report]], adapter: str) -> None:
    expected, found = reports["hf"][adapter], reports["gguf"][adapter]
    assert passed(found) is passed(expected) is (adapter == "healthy")
    assert composite(found) == pytest.approx(composite(expected), abs=1e-4)
    for theirs, ours in zip(expected["probes"], found["probes"], strict=True):
        assert (ours["name"], ours["verdict"]) == (theirs["name"], theirs["verdict"])
        figures = {name: theirs[name] for name in ("raw", "score", "z_score") if theirs[name] is not None}
        assert {name: ours[name] for name in figures} == pytest.approx(figures, rel=1e-3, abs=1e-4)

"""The same suite under other settings of the machine, the arithmetic and the random numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.known_adapters.evaluation import Report, passed, verdicts

from .comparing import assert_same, outcome
from .running import WITHOUT_AVX, run_suite
from .suite import MEASURED, TOY, quick_suite

pytestmark = pytest.mark.nightly
SEEDS = range(20)
STABLE = 0.95
EXACT_NUMBERS = ("exact", "little memory", "two threads", "another instruction set")


def suite(**ft: Any) -> dict[str, Any]:
    """The quick suite on the healthy adapter; ``ft`` holds further fields of both models."""
    whole = quick_suite()
    for model in whole["models"].values():
        model.update(ft)
    whole["models"]["ft"]["adapter"] = str(TOY.adapter)
    return whole


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """A report by setting."""
    folder = tmp_path_factory.mktemp("settings")
    return {
        "plain": run_suite(suite(), folder / "plain"),
        "exact": run_suite(suite(), folder / "exact", "--sway-exact"),
        "little memory": run_suite(suite(), folder / "memory", "--sway-memory=600MB"),
        "two threads": run_suite(suite(), folder / "threads", threads=2),
        "another instruction set": run_suite(suite(), folder / "kernels", setting=WITHOUT_AVX),
        "bf16": run_suite(suite(dtype="bf16"), folder / "bf16"),
    }


@pytest.mark.parametrize("kind", MEASURED)
@pytest.mark.parametrize("setting", EXACT_NUMBERS)
def test_how_a_text_is_scored_decides_nothing(reports: dict[str, Report], setting: str, kind: str) -> None:
    assert_same(outcome(reports[setting], kind), outcome(reports["plain"], kind))


def test_half_precision_gives_the_same_verdicts(reports: dict[str, Report]) -> None:
    assert verdicts(reports["bf16"]) == verdicts(reports["plain"])
    assert passed(reports["bf16"]) is passed(reports["plain"])


def test_other_null_adapters_give_the_same_verdicts(tmp_path: Path) -> None:
    found: dict[str, Counter[str]] = {kind: Counter() for kind in MEASURED}
    for seed in SEEDS:
        whole = suite()
        null = next(one for one in whole["suite"] if one["kind"] == "null_adapter")
        null["seed_base"] = 1000 * (seed + 1)
        report = verdicts(run_suite(whole, tmp_path / str(seed)))
        for kind in MEASURED:
            found[kind][report[kind]] += 1
    shares = {kind: max(counts.values()) / len(SEEDS) for kind, counts in found.items()}
    assert min(shares.values()) >= STABLE, found

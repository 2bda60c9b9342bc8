"""SmolLM2-135M with an adapter that learned and one of random numbers: mlx-lm and transformers agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.known_adapters.battery import FIRST, spec
from tests.known_adapters.evaluation import Report, evaluate, passed
from tests.known_adapters.real_model import __main__ as make
from tests.known_adapters.real_model.base import PACKAGES, skip_unless_installed
from tests.support.same_verdicts import assert_same_verdicts

ADAPTERS = ("healthy", "noise")
KINDS = ("null_adapter", "delta_kl", "section_internalization")


@pytest.fixture(scope="module")
def reports(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Report]]:
    skip_unless_installed(*PACKAGES)
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["make", str(folder), "--only", *ADAPTERS])
        make.main()
    return {kind: evaluate_kind(folder, kind) for kind in ("hf", "mlx")}


def evaluate_kind(folder: Path, kind: str) -> dict[str, Report]:
    whole = spec(FIRST, folder / "base", runs=8, profile="quick")
    for side in whole["models"].values():
        side["kind"] = kind
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] in KINDS]
    work = folder / kind
    work.mkdir()
    return evaluate(whole, {name: folder / name for name in ADAPTERS}, work)


@pytest.mark.nightly
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_both_kinds_agree(reports: dict[str, dict[str, Report]], adapter: str) -> None:
    assert passed(reports["hf"][adapter]) is (adapter == "healthy")
    assert_same_verdicts(reports["hf"][adapter], reports["mlx"][adapter])

"""The adapters' files are what its table says: every adapter is there, harmless to load, and small."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.paths import KNOWN_ADAPTERS

ADAPTERS = sorted(path.parent for path in KNOWN_ADAPTERS.glob("adapters/*/adapter_config.json"))
RUNS = ("half", "undertrained", "diverged", "overflowed")
LAYERS, MODULES, KIB = 4, 7, 1024


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda folder: folder.name)
def test_an_adapter_is_small_and_names_no_machine(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    rank = config["r"]
    assert (folder / config["base_model_name_or_path"] / "config.json").is_file()
    weights = load_file(folder / "adapter_model.safetensors")
    assert len(weights) == 2 * LAYERS * MODULES
    assert all(rank in weight.shape and weight.dtype == torch.float16 for weight in weights.values())
    assert (folder / "adapter_model.safetensors").stat().st_size < rank * 40 * KIB
    finite = all(bool(weight.isfinite().all()) for weight in weights.values())
    assert finite == (folder.name != "overflowed")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_left_a_log_and_a_safe_state(name: str) -> None:
    folder = KNOWN_ADAPTERS / "training" / name
    (log,) = (folder / "logs").glob("train-*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [record for record in records if record["type"] == "step"]
    assert records[0]["type"] == "banner"
    assert records[-1]["type"] == "run_complete"
    assert [record["step"] for record in steps] == list(range(1, len(steps) + 1))
    state = torch.load(folder / "training_state.pt", weights_only=True)
    moments = state["optimizer_state_dict"]["state"]
    assert state["global_step"] == records[-1]["steps"] == len(steps)
    assert len(moments) == 2 * LAYERS * MODULES
    assert (folder / "training_state.pt").stat().st_size < 700 * KIB
    finite = all(bool(m["exp_avg_sq"].isfinite().all()) for m in moments.values())
    assert finite == (name != "overflowed")


def test_the_runs_went_as_they_are_called() -> None:
    def losses(name: str) -> list[float | None]:
        (log,) = (KNOWN_ADAPTERS / "training" / name / "logs").glob("train-*.jsonl")
        records = [json.loads(line) for line in log.read_text().splitlines()]
        return [record["loss"] for record in records if record["type"] == "step"]

    sound, short, high, none = (losses(name) for name in RUNS)
    assert sound[-1] < sound[0] / 4
    assert len(short) == 5
    assert high[-1] == pytest.approx(2 * math.log(4096), abs=1e-3)
    assert none[-1] is None

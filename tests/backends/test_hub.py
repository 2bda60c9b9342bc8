"""Base, fine-tune and adapter by their names on the hub, from its local cache, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from support.checkpoints import llama

FIRST, SECOND = "1" * 40, "2" * 40
PROMPTS = ["The master of the works is", "The furnace is called the"]


def cached(home: Path, repository: str, commit: str, folder: Path, ref: str | None = "main") -> None:
    """Puts a folder into the hub's cache as a snapshot."""
    place = home / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, place / "snapshots" / commit)
    if ref is not None:
        (place / "refs" / ref).write_text(commit)


def adapter(folder: Path, base: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    options = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), options)
    model.peft_config["default"].base_model_name_or_path = "org/tiny"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    base = llama(root / "base")
    cached(root / "home", "org/tiny", FIRST, base)
    cached(root / "home", "org/tuned", FIRST, llama(root / "tuned", seed=1))
    cached(root / "home", "org/lora", FIRST, adapter(root / "first", base, 1))
    cached(root / "home", "org/lora", SECOND, adapter(root / "second", base, 2), ref=None)
    return root / "home"


def run(
    home: Path, folder: Path, ft: dict[str, object], *options: str, full: bool = False
) -> tuple[str, dict[str, object]]:
    """A spec's output and JSON report, as a user gets them."""
    side = {"kind": "hf", "base": "org/tiny", "dtype": "fp32", "device": "cpu"}
    spec = {
        "models": {"base": side, "ft": {**side, **ft}},
        "defaults": {"differential": not full},
        "suite": [{"name": "moved", "kind": "delta_kl", "prompts": PROMPTS}],
    }
    (folder / "sway.yaml").write_text(yaml.safe_dump(spec))
    environment = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "SWAY_NULL_CACHE_DIR": str(folder / "store"),
    }
    environment.pop("HF_HUB_CACHE", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "sway.yaml",
        "-p",
        "no:randomly",
        "--sway-json=report.json",
        *options,
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    report = folder / "report.json"
    return done.stdout, json.loads(report.read_text()) if report.is_file() else {}


@pytest.mark.slow
def test_an_adapter_by_name_and_revision(home: Path, tmp_path: Path) -> None:
    _, first = run(home, tmp_path, {"adapter": "org/lora"})
    _, second = run(home, tmp_path, {"adapter": f"org/lora@{SECOND}"})
    assert first["digests"]["base"] == second["digests"]["base"]
    assert first["digests"]["adapter"] != second["digests"]["adapter"]
    assert first["adapter_id"] == "org/lora"
    assert not first["warnings"]


@pytest.mark.slow
def test_a_fine_tune_by_name(home: Path, tmp_path: Path) -> None:
    _, found = run(home, tmp_path, {"base": "org/tuned"}, full=True)
    (probe,) = found["probes"]
    assert probe["verdict"] in ("pass", "fail")
    assert probe["raw"] > 0


@pytest.mark.slow
def test_what_the_cache_lacks_is_told(home: Path, tmp_path: Path) -> None:
    said, _ = run(home, tmp_path, {"adapter": "org/none"})
    assert "models.ft.adapter: 'org/none' is no folder here, and the hub did not give it" in said
    assert not list(tmp_path.glob("store/**/*.sqlite*"))

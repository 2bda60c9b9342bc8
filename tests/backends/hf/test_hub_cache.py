"""Base, fine-tune and adapter by their names on the hub, from its local cache, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import peft
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.checkpoints import llama

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


@pytest.fixture
def offline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("offline")
def test_base_and_adapters_by_name_and_revision() -> None:
    backend = load_backend(ModelKey("hf", "org/tiny", dtype="fp32", device="cpu"))
    digests = set()
    for name in ("org/lora", f"org/lora@{FIRST}", f"org/lora@{SECOND}"):
        subject = backend.attach(AdapterKey(name))
        backend.detach(subject)
        digests.add(subject.tuned.adapter)
        assert not subject.warnings
        assert not subject.notes
    assert len(digests) == 2
    with pytest.raises(BackendError, match=r"models\.ft\.adapter: 'org/none' is not a local folder"):
        backend.attach(AdapterKey("org/none"))
    with pytest.raises(BackendError, match="at revision v9"):
        backend.attach(AdapterKey("org/lora@v9"))


@pytest.mark.usefixtures("offline")
def test_a_fine_tune_by_name_and_what_is_not_there() -> None:
    backend = load_backend(ModelKey("hf", "org/tiny", revision=FIRST, dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(None, "org/tuned", FIRST))
    backend.detach(subject)
    assert not subject.inert
    with pytest.raises(BackendError, match=r"models\.ft\.base: 'org/none' is not a local folder"):
        load_backend(ModelKey("hf", "org/none"))


@pytest.mark.slow
def test_a_spec_names_both(home: Path, tmp_path: Path) -> None:
    """In a process of its own: the environment alone says where the cache is."""
    side = {"kind": "hf", "base": "org/tiny", "dtype": "fp32", "device": "cpu"}
    spec = {
        "models": {"base": side, "ft": {**side, "adapter": f"org/lora@{SECOND}"}},
        "suite": [{"name": "moved", "kind": "delta_kl", "prompts": PROMPTS}],
    }
    (tmp_path / "sway.yaml").write_text(yaml.safe_dump(spec))
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-m", "pytest", "sway.yaml", "-p", "no:randomly", "--sway-json=report.json"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["adapter_id"] == f"org/lora@{SECOND}"
    assert found["probes"][0]["raw"] > 0

"""Adapters and remains of trainings that the product reads and the tests recompute from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

NULLS = 5


def write_nulls(folder: Path) -> list[Path]:
    """Plain LoRA adapters of random numbers, each tensor as large as the quickstart's random one's."""
    source = QUICKSTART / "adapters/random"
    tensors = load_file(source / "adapter_model.safetensors")
    for draw in range(NULLS):
        torch.manual_seed(draw)
        made = {name: torch.randn_like(one) * one.std() for name, one in tensors.items()}
        target = folder / f"null_{draw}"
        target.mkdir()
        save_file(made, target / "adapter_model.safetensors", metadata={"format": "pt"})
        shutil.copy(source / "adapter_config.json", target)
    return [folder / f"null_{draw}" for draw in range(NULLS)]


def write_trainings(folder: Path) -> Path:
    """A state with one weak layer, one of five steps, and a noisy loss with a spike and two rises."""
    for name, adapter in (("weak_layer", "half"), ("short", "undertrained")):
        shutil.copytree(KNOWN_ADAPTERS / "adapters" / adapter, folder / name)
        state = torch.load(KNOWN_ADAPTERS / "training" / adapter / "training_state.pt", weights_only=True)
        if name == "weak_layer":
            for number in range(28, 42):
                state["optimizer_state_dict"]["state"][number]["exp_avg_sq"] *= 1e-6
        torch.save(state, folder / name / "training_state.pt")
    (folder / "trainer_state.json").write_text(json.dumps(_trainer_state()), "utf-8")
    return folder


def _trainer_state() -> dict[str, object]:
    steps = np.arange(1, 301)
    losses = 1 + 3 * np.exp(-steps / 15) + 0.01 * np.random.default_rng(0).standard_normal(300)
    losses[150:200] += np.linspace(0, 0.8, 50)
    losses[200:] += 0.3
    losses[259] += 1.5
    log: list[dict[str, float]] = [
        {"step": int(step), "loss": float(loss)} for step, loss in zip(steps, losses, strict=True)
    ]
    for step, loss in ((100, 2.0), (200, 1.4), (300, 1.9)):
        log.append({"step": step, "eval_loss": loss})
    return {"global_step": 300, "log_history": sorted(log, key=lambda row: row["step"])}

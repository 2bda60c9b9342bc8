"""Training states and logs: one really trained, the others as dlm's trainer would have written them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

LAYERS = 12


class Block(torch.nn.Module):
    """Two linear maps, made in an order that is not that of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(6, 10)
        self.down = torch.nn.Linear(10, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(x)))


class Stack(torch.nn.Module):
    """Blocks under a name that model families use, and a head."""

    def __init__(self, count: int = LAYERS) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([Block() for _ in range(count)])
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def lora(count: int = LAYERS, **config: Any) -> torch.nn.Module:
    """A LoRA of rank 2 on every block."""
    torch.manual_seed(count)
    return get_peft_model(Stack(count), LoraConfig(r=2, target_modules=["up", "down"], **config))


def train(folder: Path, steps: int = 60, **config: Any) -> list[float]:
    """Really train a LoRA with AdamW, save it with its state and log, and return the losses."""
    model = lora(**config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    inputs = torch.randn(64, 6)
    aims = torch.tanh(inputs[:, :3] * 2)
    losses = []
    for _ in range(steps):
        some = torch.randint(0, 64, (16,))
        loss = torch.nn.functional.mse_loss(model(inputs[some]), aims[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.save_pretrained(folder)
    save(folder, optimizer.state_dict(), global_step=steps)
    return losses


def save(folder: Path, optimizer: Any, **values: Any) -> Path:
    """A state file, version 2 of dlm's."""
    known = {"global_step": 60, "epoch": 3.0, "best_val_loss": 1.25, "use_qlora": False}
    path = folder / "training_state.pt"
    torch.save({"_state_sidecar_version": 2, "optimizer_state_dict": optimizer, **known, **values}, path)
    return path


def seal(path: Path) -> None:
    """The sha256 beside a file."""
    path.with_name(f"{path.name}.sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")


def optimizer_state(path: Path) -> dict[str, Any]:
    """What a state file's optimizer remembers, for a test to change."""
    found: dict[str, Any] = torch.load(path, weights_only=True)["optimizer_state_dict"]
    return found


def step(number: int, loss: Any, **values: Any) -> dict[str, Any]:
    """One logged step."""
    return {"type": "step", "step": number, "loss": loss, "lr": 1e-4, "grad_norm": None, **values}


def run(
    losses: Iterable[Any], run_id: int = 1, version: int | None = None, **end: Any
) -> list[dict[str, Any]]:
    """The records of one run: a banner, its steps, and its end where it made a version."""
    steps = [step(number, loss) for number, loss in enumerate(losses, 1)]
    records = [{"type": "banner", "run_id": run_id, "seed": 0}, {"type": "delta", "new": []}, *steps]
    if version is not None:
        records.append(complete(run_id, version, **{"steps": len(steps), **end}))
    return records


def complete(run_id: int, version: int, steps: int) -> dict[str, Any]:
    """The end of a run."""
    return {"type": "run_complete", "run_id": run_id, "adapter_version": version, "steps": steps}


def write(path: Path, records: Iterable[Any]) -> Path:
    """One log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def log(store: Path, number: int, records: Iterable[Any]) -> Path:
    """The log of a store's run, named as dlm names it."""
    return write(store / "logs" / f"train-{number:06d}-20260101T0000{number:02d}.jsonl", records)

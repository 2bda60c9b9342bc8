"""What Hugging Face's Trainer, LLaMA-Factory and torchtune leave behind, in small.

The shapes are those of real runs: Trainer (transformers 5.24, accelerate 1.15; ``test_trainer_run.py`` makes
one), the sources of LLaMA-Factory 0.9.5 (``LogCallback``), torchtune 0.6.1 (``DiskLogger``) and TRL 1.16.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from tests.support.dlm_training import lora, write


def falling(step: int) -> float:
    """A loss that falls from 3.4 to 0.4."""
    return 3 * math.exp(-step / 60) + 0.4


def history(
    last: int, every: int = 5, loss: Callable[[int], Any] = falling, **values: Any
) -> list[dict[str, Any]]:
    """Trainer's records of a run; a function in ``values`` is called with the step."""
    steps = range(every, last + 1, every)
    records = [
        {"epoch": n / 100, "grad_norm": 1.0, "learning_rate": 1e-4, "loss": loss(n), "step": n} for n in steps
    ]
    for record in records:
        record |= {key: value(record["step"]) if callable(value) else value for key, value in values.items()}
    return records


def trainer_state(folder: Path, records: list[dict[str, Any]], **values: Any) -> Path:
    """``trainer_state.json``, as Trainer writes it: indented, with NaN as a literal."""
    folder.mkdir(parents=True, exist_ok=True)
    step = records[-1]["step"] if records else 0
    known = {"best_metric": None, "epoch": 2.0, "global_step": step, "logging_steps": 5, "max_steps": step}
    path = folder / "trainer_state.json"
    text = json.dumps({**known, "log_history": records, **values}, indent=2, sort_keys=True)
    path.write_text(text + "\n")
    return path


def factory_log(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """LLaMA-Factory's ``trainer_log.jsonl``: a loss, or an eval_loss, a line."""
    names = {"step": "current_steps", "learning_rate": "lr"}
    kept = ("current_steps", "loss", "eval_loss", "lr", "epoch", "reward", "accuracy")
    renamed = [{names.get(key, key): value for key, value in record.items()} for record in records]
    rest = {"total_steps": 200, "percentage": 2.5, "elapsed_time": "0:00:01", "remaining_time": "0:00:39"}
    return write(path, [{key: r[key] for key in kept if key in r} | rest for r in renamed])


def torchtune_log(path: Path, losses: Iterable[Any], **metrics: Any) -> Path:
    """The text of torchtune's ``DiskLogger.log_dict``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    others = {"lr": 0.0003, "tokens_per_second_per_gpu": 812.5, **metrics}
    tail = "".join(f"{name}:{value} " for name, value in others.items())
    lines = [f"Step {step} | loss:{loss} {tail}\n" for step, loss in enumerate(losses, 1)]
    path.write_text("".join(lines))
    return path


def checkpoint(
    folder: Path,
    step: int = 60,
    make: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    layers: int = 4,
    seed: int = 0,
    **options: Any,
) -> Path:
    """A LoRA of some layers and the state of its optimizer after random gradients.

    Trainer's second parameter group, without weight decay, is empty for LoRA.
    """
    model = lora(layers)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = make([{"params": parameters, "weight_decay": 0.0}, {"params": []}], **{"lr": 1e-3, **options})
    chance = torch.Generator().manual_seed(seed)
    for _ in range(3):
        for parameter in parameters:
            parameter.grad = 1e-3 * torch.randn(parameter.shape, generator=chance)
        optimizer.step()
    model.save_pretrained(folder)
    state = optimizer.state_dict()
    for kept in state["state"].values():
        if "step" in kept:
            kept["step"] = torch.tensor(float(step))
    for group in state["param_groups"]:
        group["initial_lr"] = 1e-3
    torch.save(state, folder / "optimizer.pt")
    trainer_state(folder, history(step))
    return folder

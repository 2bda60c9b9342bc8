"""What a trainer leaves beside an adapter: a dlm-style log and the optimiser's state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

_VALIDATE_EVERY = 20


class TrainingLog:
    """Writes ``logs/train-000001-….jsonl`` as steps come, and ``training_state.pt`` at the end.

    The records and the state's keys are dlm's (its log format, state version 2).
    """

    def __init__(
        self, folder: Path, seed: int, plan: dict[str, Any], validate: Callable[[PeftModel], float]
    ) -> None:
        self.folder, self.validate = folder, validate
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.log = folder / "logs" / "train-000001-20260101T000000.jsonl"
        self.best: float | None = None
        self.log.write_text("", "utf-8")
        banner = {"type": "banner", "run_id": 1, "seed": seed, "determinism_class": "strict"}
        self._write({**banner, "pinned_versions": {"torch": torch.__version__}, "plan": plan})

    def note(self, model: PeftModel, step: int, loss: float, rate: float, norm: float) -> None:
        """One step's record; a number that is none becomes dlm's null."""
        record = {
            "type": "step",
            "step": step,
            "loss": _finite(loss),
            "lr": rate,
            "grad_norm": _finite(norm),
        }
        if step % _VALIDATE_EVERY == 0:
            found = self.validate(model)
            record["val_loss"] = _finite(found)
            if math.isfinite(found):
                self.best = min(found, self.best or found)
        self._write(record)

    def close(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """The run's last record and the state, its moments in bfloat16 to keep it small."""
        self._write({"type": "run_complete", "run_id": 1, "adapter_version": 1, "steps": steps})
        state = optimizer.state_dict()
        for moments in state["state"].values():
            for name in ("exp_avg", "exp_avg_sq"):
                moments[name] = moments[name].to(torch.bfloat16)
        torch.save(
            {
                "_state_sidecar_version": 2,
                "optimizer_state_dict": state,
                "scheduler_state_dict": {},
                "torch_rng_state": torch.get_rng_state(),
                "cuda_rng_state": None,
                "global_step": steps,
                "epoch": 0.0,
                "best_val_loss": self.best,
                "base_model_revision": None,
                "pinned_versions": {"torch": str(torch.__version__)},
                "use_qlora": False,
            },
            self.folder / "training_state.pt",
        )

    def _write(self, record: dict[str, Any]) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None

"""One adapter in other forms: the same update written in another way, or at another strength."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .suite import TOY, Subject

Change = Callable[[str, Tensor], Tensor]


def rescaled(target: Path, of: Subject = TOY, factor: float = 8.0) -> Path:
    """B times the factor, A divided by it; a power of two changes no bit of the product."""
    return _saved(target, of, lambda name, weight: weight * factor if "lora_B" in name else weight / factor)


def padded(target: Path, of: Subject = TOY, rank: int = 12) -> Path:
    """The same update at a higher rank: columns of zeros in B, rows of ones in A, alpha to match."""

    def change(name: str, weight: Tensor) -> Tensor:
        if "lora_B" in name:
            return torch.cat([weight, weight.new_zeros(weight.shape[0], rank - weight.shape[1])], dim=1)
        return torch.cat([weight, weight.new_ones(rank - weight.shape[0], weight.shape[1])])

    config = _config(of)
    return _saved(target, of, change, r=rank, lora_alpha=config["lora_alpha"] * rank / config["r"])


def scaled(target: Path, strength: float) -> Path:
    """The update times a strength."""
    return _saved(target, TOY, lambda name, weight: weight * strength if "lora_B" in name else weight)


def opposite(target: Path) -> Path:
    """The update with its sign turned."""
    return scaled(target, -1.0)


def _config(of: Subject) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((of.adapter / "adapter_config.json").read_text("utf-8"))
    return found


def _saved(target: Path, of: Subject, change: Change, **config: Any) -> Path:
    """A folder with every tensor of the adapter changed, in float32, and fields of its config replaced."""
    target.mkdir(parents=True)
    weights = load_file(of.adapter / "adapter_model.safetensors")
    new = {name: change(name, weight.float()).contiguous() for name, weight in weights.items()}
    save_file(new, target / "adapter_model.safetensors")
    whole = {**_config(of), **config, "base_model_name_or_path": str(of.base)}
    (target / "adapter_config.json").write_text(json.dumps(whole), "utf-8")
    return target

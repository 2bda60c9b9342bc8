"""Writes LoRA adapters as PEFT folders for a server to load."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pytest_sway.backends.base import BackendError
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS


@dataclass(frozen=True)
class LoraFolder:
    """An adapter as it is written.

    Attributes:
        config: its ``adapter_config.json``, with every scaling written out.
        tensors: makes them, by PEFT's names; not called where a file with them can be linked.
    """

    config: Mapping[str, Any]
    tensors: Callable[[], Mapping[str, torch.Tensor]]

    def config_at(self, scale: float) -> dict[str, Any]:
        """The config of the same tensors with the update multiplied by ``scale``."""
        patterns = {name: alpha * scale for name, alpha in self.config["alpha_pattern"].items()}
        return {**self.config, "lora_alpha": self.config["lora_alpha"] * scale, "alpha_pattern": patterns}


def write_folder(path: Path, adapter: LoraFolder, scale: float, same_tensors: Path | None) -> None:
    """Write a folder that is there as a whole or not at all.

    Args:
        path: of the folder.
        adapter: config and tensors.
        scale: factor λ on the update.
        same_tensors: a folder with these tensors, whose file is linked.

    Raises:
        BackendError: it cannot be written.
    """
    if path.exists():  # its name says what is in it
        return
    scratch = path.with_name(f".{path.name}")
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of an attempt whose file system turned read-only
        scratch.mkdir()
        text = json.dumps(adapter.config_at(scale), indent=1)
        (scratch / ADAPTER_CONFIG).write_text(text, encoding="utf-8")
        if same_tensors is None or not _link(same_tensors / ADAPTER_WEIGHTS, scratch / ADAPTER_WEIGHTS):
            tensors = {key: tensor.contiguous() for key, tensor in adapter.tensors().items()}
            save_file(tensors, scratch / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        scratch.rename(path)
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        raise BackendError(
            f"cannot write the adapter folder {path} (models.ft.null_dir): {reason}"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _link(existing: Path, new: Path) -> bool:
    """Whether a second name for a file could be made; some file systems know none."""
    try:
        os.link(existing, new)
    except OSError:
        return False
    return True

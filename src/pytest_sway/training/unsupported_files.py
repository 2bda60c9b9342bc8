"""Files that training leaves behind and that are not read, recognised by their names.

They are named where nothing readable was found, so that the user sees why. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

READ_LOGS = (
    "trainer_state.json (transformers, TRL, axolotl, Unsloth), trainer_log.jsonl (LLaMA-Factory), "
    "logs/log_*.txt (torchtune), logs/train-*.jsonl (dlm)"
)
READ_OPTIMIZERS = (
    "optimizer.pt (transformers' Trainer and libraries based on it), optimizer.bin (accelerate), "
    "training_state.pt (dlm)"
)


@dataclass(frozen=True)
class _Format:
    """Where a format's files lie in a folder, and what they are."""

    pattern: str
    what: str


_LOGS = (
    _Format("events.out.tfevents.*", "TensorBoard events"),
    _Format("*/events.out.tfevents.*", "TensorBoard events"),
    _Format("*/*/events.out.tfevents.*", "TensorBoard events"),
    _Format("debug.log", "a text log, e.g. from axolotl"),
    _Format("wandb", "Weights & Biases"),
    _Format("mlruns", "MLflow"),
    _Format("lightning_logs", "PyTorch Lightning"),
    _Format("logging.jsonl", "ms-swift"),
    _Format("train_results.json", "a summary without steps"),
    _Format("all_results.json", "a summary without steps"),
)
_OPTIMIZERS = (
    _Format("global_step*", "DeepSpeed's shards"),
    _Format("optimizer_[0-9]*", "FSDP's shards"),
    _Format("*.distcp", "torch.distributed.checkpoint's shards"),
    _Format("rank*-of-*-optimizer.pt", "shards of a run on XLA devices"),
    _Format("optimizer.pt_*", "shards of SageMaker's model parallelism"),
    _Format("optimizer.safetensors", "not a transformers format"),
    _Format("recipe_state", "torchtune's checkpoint of an unfinished run"),
    _Format("*.ckpt", "a checkpoint of PyTorch Lightning"),
)


def unread_logs(folder: Path) -> list[str]:
    """The logs in a folder that are not read, each with its format."""
    return _find_formats(folder, _LOGS)


def unread_optimizers(folders: Iterable[Path]) -> list[str]:
    """The optimizer states in some folders that are not read, each with its format."""
    every = [one for folder in folders for one in _with_output_folder(folder.resolve())]
    return [text for folder in dict.fromkeys(every) for text in _find_formats(folder, _OPTIMIZERS)]


def _with_output_folder(folder: Path) -> list[Path]:
    """The folder, and torchtune's output folder above its ``epoch_N``."""
    return [folder, folder.parent] if folder.name.startswith(("epoch_", "step_")) else [folder]


def _find_formats(folder: Path, formats: Iterable[_Format]) -> list[str]:
    texts = []
    for one in formats:
        try:
            first = min(folder.glob(one.pattern), default=None)
        except OSError:
            continue
        if first is not None:
            texts.append(f"{first.relative_to(folder.parent)} ({one.what})")
    return texts

"""What the device has to do with the numbers and their cost: memory, determinism, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peft
import torch
import transformers

from pytest_sway import __version__
from pytest_sway.backends.protocols import Determinism

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def guarded(device: torch.device) -> Iterator[None]:
    """Inference with deterministic kernels on CUDA; a failed allocation becomes a MemoryError."""
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with torch.inference_mode():
            yield
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        raise MemoryError(str(error).strip().splitlines()[0]) from None
    finally:
        if device.type == "cuda":
            torch.use_deterministic_algorithms(before, warn_only=warns)


def ask_for_determinism(device: torch.device) -> None:
    """CuBLAS reads its workspace from the environment, once, when it is first used."""
    if device.type == "cuda":
        os.environ.setdefault(_WORKSPACE, ":4096:8")


def determinism(device: torch.device, dtype: torch.dtype, *, alone: bool) -> Determinism:
    """How far two runs on one machine can be expected to agree."""
    name = str(dtype).removeprefix("torch.")
    batches = "every text by itself" if alone else "texts in batches"
    if device.type == "cuda":
        fixed = os.environ.get(_WORKSPACE) in (":4096:8", ":16:8")
        level = "strict" if fixed else "loose"
        return Determinism(level, (f"cuda, {name}, {batches}",))
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return Determinism("best_effort", (f"{device.type}, {name}{threads}, {batches}",))


def identity(model: Any) -> str:
    """What numbers depend on beside weights and request: dtype, kind of device, kernels, versions."""
    device = model.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    kernels = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    attention = getattr(model.config, "_attn_implementation", "")
    versions = (
        f"pytest-sway {__version__}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"peft {peft.__version__}"
    )
    return f"{model.dtype} {device.type} {kind} {kernels} {attention}; {versions}"


def token_bytes(model: Any) -> int:
    """About how much memory one token of a batch takes beside the weights: a layer's activations."""
    config = model.config.get_text_config()
    hidden = int(getattr(config, "hidden_size", 1024))
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    return (10 * hidden + 4 * inner) * int(model.dtype.itemsize)


def cache_bytes(model: Any) -> int:
    """How much memory one token of a continuation takes more: its keys and values in every layer."""
    config = model.config.get_text_config()
    hidden, layers = int(getattr(config, "hidden_size", 1024)), int(getattr(config, "num_hidden_layers", 32))
    heads = int(getattr(config, "num_attention_heads", 1))
    width = int(getattr(config, "head_dim", None) or hidden // heads)
    own = int(getattr(config, "num_key_value_heads", None) or heads)
    return 2 * layers * own * width * int(model.dtype.itemsize)

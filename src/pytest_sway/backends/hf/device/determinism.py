"""How far two runs on a device agree: deterministic kernels, and what else the numbers depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import peft
import torch
import transformers

from pytest_sway.backends.base import Determinism
from pytest_sway.version import __version__

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def inference_mode(*, deterministic: bool = False) -> Iterator[None]:
    """No gradients; ``deterministic``: torch refuses kernels that may give other numbers the next time."""
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if deterministic:
        torch.use_deterministic_algorithms(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        if deterministic:
            torch.use_deterministic_algorithms(before, warn_only=warns)


def set_cublas_workspace(device: torch.device) -> None:
    """Give cuBLAS a fixed workspace; it reads the environment once, when it is first used."""
    if device.type == "cuda":
        os.environ.setdefault(_WORKSPACE, ":4096:8")


def has_deterministic_kernels(model: Any, row: list[int]) -> bool:
    """Whether this model scores and writes with deterministic kernels alone; asked on CUDA only.

    On a CPU the order of sums may change with the number of threads, whatever torch is asked.
    """
    if model.device.type != "cuda" or os.environ.get(_WORKSPACE) not in (":4096:8", ":16:8"):
        return False
    ids = torch.tensor([row, row], device=model.device)
    try:
        with inference_mode(deterministic=True):
            model(input_ids=ids, use_cache=False)
            model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=2)
    except RuntimeError:
        return False
    return True


def determinism(
    device: torch.device, dtype: torch.dtype, *, strict: bool, batch_invariant: bool, threads: int
) -> Determinism:
    """How far two runs on one machine can be expected to agree; ``threads``: the most that torch uses."""
    parts = [device.type, str(dtype).removeprefix("torch.")]
    parts += [f"{threads} thread{'s' * (threads != 1)}"] if device.type == "cpu" else []
    parts += ["one text per batch" if batch_invariant else "texts in batches"]
    gpu = "strict" if strict else "loose"
    return Determinism(gpu if device.type == "cuda" else "best_effort", (", ".join(parts),))


def environment_identity(model: Any, threads: int) -> str:
    """What numbers depend on besides weights and request: dtype, kind of device, kernels, versions.

    ``threads``: the most that torch uses; how many a batch gets follows from it and from the batch.
    """
    device = model.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    cpu = f"{torch.backends.cpu.get_cpu_capability()} {threads} threads"
    kernels = cpu if device.type == "cpu" else f"cuda {torch.version.cuda}"
    kernels += f" matmul {torch.get_float32_matmul_precision()}"
    attention = getattr(model.config, "_attn_implementation", "")
    versions = (
        f"pytest-sway {__version__}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"peft {peft.__version__}, numpy {np.__version__}"
    )
    return f"{model.dtype} {device.type} {kind} {kernels} {attention}; {versions}"


_HALF_PRECISION = {
    torch.bfloat16: ("bf16", ("avx512_bf16", "amx_bf16", "bf16")),
    torch.float16: ("fp16", ("avx512_fp16", "amx_fp16", "fp16_arith")),
}
"""Names of the half-precision types, and the CPU instructions that compute in them, as torch names them."""


def half_precision_notes(model: Any) -> tuple[str, ...]:
    """What a reader of the report should know of the device: half precision that this CPU has to emulate."""
    if model.device.type != "cpu" or model.dtype not in _HALF_PRECISION:
        return ()
    name, instructions = _HALF_PRECISION[model.dtype]
    if _has_instructions(instructions) is not False:
        return ()
    slower = (
        f"this CPU has no {name} instructions, so the base model is usually several times slower in {name}"
    )
    return (f"{slower} than in fp32; use dtype: fp32",)


def _has_instructions(instructions: tuple[str, ...]) -> bool | None:
    """Whether the CPU has one of these instruction sets; None where torch does not say."""
    get_capabilities = getattr(torch.cpu, "get_capabilities", None)  # from torch 2.11 on
    capabilities = get_capabilities() if get_capabilities is not None else {}
    known = [bool(capabilities[name]) for name in instructions if name in capabilities]
    return any(known) if known else None

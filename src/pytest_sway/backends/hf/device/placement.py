"""On which device the base model is placed, and in which dtype."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.error_text import first_line

BALANCED = "balanced"
"""The device of a base that is spread over all CUDA devices, as accelerate's device map of that name."""


@dataclass(frozen=True)
class Placement:
    """Where a base model goes.

    Attributes:
        device: its device; of a spread model the first one.
        spread: whether it is spread over all CUDA devices.
    """

    device: Any
    spread: bool = False

    def put(self, model: Any) -> Any:
        """The model, moved from the CPU.

        Raises:
            BackendError: it is to be spread, and does not fit into the devices' memory.
        """
        if not self.spread:
            return model.to(self.device)
        from accelerate import dispatch_model  # type: ignore[import-untyped]

        return dispatch_model(model, balanced_map(model))


def placement(torch: Any, wanted: str) -> Placement:
    """Where a model goes whose spec says ``device: wanted``.

    Raises:
        BackendError: there is no such device, or what ``balanced`` needs is missing.
    """
    if wanted == BALANCED:
        return _balanced_placement(torch)
    if wanted != "auto":
        return Placement(_named_device(torch, wanted))
    if torch.cuda.is_available():
        index = cuda_index(os.environ, torch.cuda.device_count())
        return Placement(torch.device("cuda") if index is None else torch.device("cuda", index))
    return Placement(torch.device("mps" if torch.backends.mps.is_available() else "cpu"))


def cuda_index(environment: Mapping[str, str], devices: int) -> int | None:
    """The CUDA device of an xdist worker: worker ``gwI`` takes device I mod ``devices``; else None.

    A worker that replaces one that crashed has the next number, not the number of that one.
    """
    number = environment.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return int(number) % devices if number.isdecimal() and devices else None


def resolve_dtype(torch: Any, wanted: str, device: Any) -> Any:
    """auto: bf16 on CUDA where supported (else fp16), fp16 on MPS, fp32 on CPU."""
    names = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    if wanted != "auto":
        return names[wanted]
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32


def refuse_spread(model: Any, subject: str) -> None:
    """Refuse an adapter that changes the base's own weights where they are on several devices.

    Raises:
        BackendError: naming the subject.
    """
    if len({parameter.device for parameter in model.parameters()}) > 1:
        raise BackendError(
            f"{subject} changes the weights of the base model, but device: balanced supports only plain "
            "LoRA. Use device: auto on one device with enough memory"
        )


def balanced_map(model: Any, memory: Mapping[int | str, int] | None = None) -> dict[str, int]:
    """The CUDA device of each module, about the same number of bytes on each.

    Args:
        model: on the CPU.
        memory: free bytes by device; by default what accelerate finds.

    Raises:
        BackendError: a part would not fit on any device, so that it would be moved in for every forward.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory  # type: ignore[import-untyped]

    unsplit = list(getattr(model, "_no_split_modules", None) or [])
    limits = get_balanced_memory(model, dict(memory) if memory else None, no_split_module_classes=unsplit)
    devices = {device: size for device, size in limits.items() if isinstance(device, int)}
    placed: dict[str, Any] = infer_auto_device_map(model, devices, no_split_module_classes=unsplit)
    outside = [name for name, device in placed.items() if not isinstance(device, int)]
    if outside:
        raise BackendError(
            f"models.ft.device: balanced needs more memory than the {len(devices)} CUDA devices have: "
            f"{len(outside)} of {len(placed)} parts of the base model do not fit (first: {outside[0]}). Use "
            "more or larger devices, or a smaller dtype"
        )
    return placed


def _balanced_placement(torch: Any) -> Placement:
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if devices < 2:
        count = "1 CUDA device was" if devices else "no CUDA device was"
        raise BackendError(
            f"models.ft.device: balanced distributes the base model over several CUDA devices, but {count} "
            "found; use device: auto"
        )
    if find_spec("accelerate") is None:
        raise BackendError(
            "models.ft.device: balanced needs accelerate; install it with: pip install accelerate"
        )
    return Placement(torch.device("cuda", 0), spread=True)


def _named_device(torch: Any, wanted: str) -> Any:
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BackendError(f"models.ft.device: {wanted!r} is not available: {first_line(error)}") from error
    if device.type == "meta":
        raise BackendError(
            "models.ft.device: 'meta' is not supported, because it does not store weights; use auto, cpu, "
            "cuda or the name of another device"
        )
    return device

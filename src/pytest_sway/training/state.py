"""Reads ``training_state.pt``: the step counters and what an Adam optimizer remembers of each parameter.

Loaded with ``weights_only=True``, always: a state that carries a pickled object is refused, and nothing in
it is executed.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.training.store import TrainingDataError

if TYPE_CHECKING:
    import torch

STATE_FILE = "training_state.pt"


@dataclass(frozen=True)
class Moment:
    """What the optimizer remembers of one parameter.

    Attributes:
        shape: of its ``exp_avg_sq``; None where there is none, for a parameter without a gradient say.
        mean: of the finite values, in squared gradients; NaN where there is none.
        non_finite: how many values are NaN or infinite.
        size: how many values there are.
        step: how many steps the optimizer made with it; None where it does not count.
    """

    shape: tuple[int, ...] | None = None
    mean: float = math.nan
    non_finite: int = 0
    size: int = 0
    step: int | None = None

    @property
    def dead(self) -> bool:
        """No gradient ever reached it."""
        return self.shape is None or (self.size > 0 and not self.non_finite and self.mean == 0)


@dataclass(frozen=True)
class TrainingState:
    """A trainer's state at the end of its last run.

    Attributes:
        global_step, epoch, best_val_loss, use_qlora: as the trainer wrote them.
        moments: one per parameter, in the optimizer's order.
        groups: parameter groups that hold parameters.
        adam: whether it keeps a second moment, ``exp_avg_sq``, per parameter.
        learning_rate: the largest that the schedule started from; None where it is not told.
    """

    global_step: int | None
    epoch: float | None
    best_val_loss: float | None
    use_qlora: bool | None
    moments: tuple[Moment, ...]
    groups: int
    adam: bool
    learning_rate: float | None

    @property
    def optimizer_steps(self) -> int | None:
        """The most steps that the optimizer made with a parameter."""
        return max((m.step for m in self.moments if m.step is not None), default=None)


def read_state(file: Path) -> TrainingState:
    """Read a state; torch is imported here.

    Raises:
        TrainingDataError: it differs from its sha256, carries objects, or is no training state.
    """
    try:
        with file.open("rb") as stream:
            _check(file, stream)
            payload = _load(file, stream)
    except OSError as error:
        raise TrainingDataError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return _state(payload)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise TrainingDataError(f"{file} is no training state of an optimizer: {_brief(error)}") from None


def _check(file: Path, stream: BufferedReader) -> None:
    """Compare with the sha256 beside it, where there is one."""
    sidecar = file.with_name(f"{file.name}.sha256")
    if not sidecar.is_file():
        return
    words = sidecar.read_bytes().split()
    expected = words[0].decode("ascii", "replace").lower() if words else ""
    found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise TrainingDataError(
            f"{file} does not match its sha256: {sidecar.name} says {expected[:12]}…, it is {found[:12]}…"
        )
    stream.seek(0)


def _load(file: Path, stream: BufferedReader) -> Any:
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes torch raise anything
        carried = re.search(r"GLOBAL ([\w.]+)", str(error))
        if carried:
            text = f"it carries {carried[1]}, which is code to run, and was not opened"
            raise TrainingDataError(f"{file}: {text}; save tensors and plain values only") from None
        raise TrainingDataError(f"{file} is no file that torch.save wrote, or is cut short") from None


def _state(payload: Any) -> TrainingState:
    if not isinstance(payload, dict):
        raise TypeError(f"it holds a {type(payload).__name__}")
    optimizer = payload["optimizer_state_dict"]
    state, groups = optimizer.get("state", {}), [g for g in optimizer.get("param_groups", []) if g["params"]]
    ids = [parameter for group in groups for parameter in group["params"]]
    rates = [rate for group in groups if (rate := _number(group.get("initial_lr"))) is not None]
    return TrainingState(
        global_step=_count(payload.get("global_step")),
        epoch=_number(payload.get("epoch")),
        best_val_loss=_number(payload.get("best_val_loss")),
        use_qlora=found if isinstance(found := payload.get("use_qlora"), bool) else None,
        moments=tuple(_moment(state.get(parameter, {})) for parameter in ids),
        groups=len(groups),
        adam=any("exp_avg_sq" in kept for kept in state.values()) or (not state and _is_adam(groups)),
        learning_rate=max(rates) if rates and len(rates) == len(groups) else None,
    )


def _is_adam(groups: list[Mapping[str, Any]]) -> bool:
    """Told from its settings, for an optimizer that made no step."""
    return any("betas" in group for group in groups)


def _moment(kept: Mapping[str, Any]) -> Moment:
    step = _count(kept.get("step"))
    if "exp_avg_sq" not in kept:
        return Moment(step=step)
    values: torch.Tensor = kept["exp_avg_sq"]
    if values.numel() * values.element_size() > values.untyped_storage().nbytes():
        raise ValueError("an exp_avg_sq is larger than what is stored of it")
    finite = values[values.isfinite()].double()
    return Moment(
        shape=tuple(values.shape),
        mean=float(finite.mean()) if finite.numel() else math.nan,
        non_finite=values.numel() - finite.numel(),
        size=values.numel(),
        step=step,
    )


def _number(value: Any) -> float | None:
    """A number, or a tensor of one; None for what is none."""
    if value is None or isinstance(value, str | bytes):
        return None
    return float(value)


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None


def _brief(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return (str(error).splitlines() or [type(error).__name__])[0]

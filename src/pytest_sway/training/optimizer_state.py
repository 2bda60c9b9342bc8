"""Reads an optimizer's state: the step counters and what the optimizer keeps of each parameter.

dlm's ``training_state.pt``, and ``optimizer.pt`` / ``optimizer.bin``, the ``state_dict`` of a torch optimizer
as transformers' Trainer and accelerate save it. Loaded with ``weights_only=True``, always: a state that
carries a pickled object is refused, and nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from pytest_sway.regular_files import open_regular, read_regular
from pytest_sway.training.errors import TrainingDataError
from pytest_sway.training.json_files import first_keys
from pytest_sway.training.moment_tensors import MOMENTUM, NO_MOMENT, SECOND_MOMENT, MomentTensor, read_moment

STATE_FILE = "training_state.pt"
_MOST_DIGEST_BYTES = 1 << 16


@dataclass(frozen=True)
class MomentSummary:
    """The moment of one parameter in numbers: Adam's second moment, or what another optimizer keeps.

    Attributes:
        shape: of the parameter; None where nothing is kept, for a parameter without a gradient say.
        mean: of the finite values, in squared gradients (of their sizes, for a momentum); NaN where there is
            none.
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
        """Whether no gradient ever reached it."""
        return self.shape is None or (self.size > 0 and not self.non_finite and self.mean == 0)


@dataclass(frozen=True)
class TrainingState:
    """A trainer's state at the end of its last run.

    Attributes:
        global_step, epoch, best_val_loss, use_qlora: as the trainer wrote them.
        moments: one per parameter, in the optimizer's order.
        group_sizes: how many parameters each parameter group holds, without empty groups.
        kept: what ``moments`` are of: the second moment, the momentum, or nothing.
        counted_steps: the optimizer's own count for all parameters; None where it keeps none.
        learning_rate: the largest that the schedule started from; None where it is not known.
    """

    global_step: int | None
    epoch: float | None
    best_val_loss: float | None
    use_qlora: bool | None
    moments: tuple[MomentSummary, ...]
    group_sizes: tuple[int, ...]
    kept: str
    counted_steps: int | None
    learning_rate: float | None

    @property
    def groups(self) -> int:
        """Parameter groups that hold parameters."""
        return len(self.group_sizes)

    @property
    def adam(self) -> bool:
        """Whether it keeps a second moment per parameter, as Adam does."""
        return self.kept == SECOND_MOMENT

    @property
    def optimizer_steps(self) -> int | None:
        """The most steps that the optimizer made with a parameter."""
        return max((m.step for m in self.moments if m.step is not None), default=self.counted_steps)


def read_state(file: Path) -> TrainingState:
    """Read a state; torch is imported here.

    Raises:
        TrainingDataError: it differs from its sha256, carries objects, or is not a training state.
    """
    try:
        with open_regular(file) as stream:
            _check_digest(file, stream)
            payload = _load_tensors(file, stream)
    except OSError as error:
        raise TrainingDataError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return _state(payload)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise TrainingDataError(f"{file} is not an optimizer state: {_first_line(error)}") from None


def _check_digest(file: Path, stream: BufferedReader) -> None:
    """Compare with the sha256 beside it, where there is one."""
    sidecar = file.with_name(f"{file.name}.sha256")
    if not sidecar.is_file():
        return
    words = read_regular(sidecar, _MOST_DIGEST_BYTES).split()
    expected = words[0].decode("ascii", "replace").lower() if words else ""
    found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise TrainingDataError(
            f"{file} does not match {sidecar.name}: its SHA-256 is {found[:12]}…, expected {expected[:12]}…"
        )
    stream.seek(0)


def _load_tensors(file: Path, stream: BufferedReader) -> Any:
    import torch

    release = tuple(map(int, re.findall(r"\d+", str(torch.__version__))[:2]))
    if release < (2, 6):  # vendors' builds are called 2.6.0a0+…, which would be less as a version
        raise TrainingDataError(
            f"{file} was not opened because torch {torch.__version__} may execute code from it, although it "
            "is asked not to (CVE-2025-32434); install torch 2.6 or later"
        )
    try:
        zipped = _is_plain_zip(stream)
        with warnings.catch_warnings(action="ignore"):
            return torch.load(
                str(file) if zipped else stream, map_location="cpu", weights_only=True, mmap=zipped
            )
    except Exception as error:  # a broken file makes torch raise anything
        carried = re.search(r"GLOBAL ([\w.]+)", str(error))
        if carried:
            text = f"it contains {carried[1]}, which is executable code"
            raise TrainingDataError(
                f"{file} was not opened because {text}; save only tensors and plain values"
            ) from None
        raise TrainingDataError(f"{file} is not a torch.save file, or is truncated") from None


def _is_plain_zip(stream: BufferedReader) -> bool:
    """Whether it is a zip archive, which can be mapped into memory; torch.save made none before 1.6.

    Raises:
        ValueError: it is compressed. torch.save compresses nothing; a small file must not become a large one.
    """
    zipped = zipfile.is_zipfile(stream)
    if zipped:
        with zipfile.ZipFile(stream) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("compressed")
    stream.seek(0)
    return zipped


def _state(payload: Any) -> TrainingState:
    if not isinstance(payload, dict):
        raise TypeError(f"it contains a {type(payload).__name__}")
    optimizer = _state_dict(payload)
    state, groups = optimizer.get("state", {}), _parameter_groups(optimizer)
    ids = [parameter for group in groups for parameter in group["params"]]
    if not ids and optimizer is payload:
        raise ValueError("its param_groups contain no parameters")
    kept = [state.get(parameter, {}) for parameter in ids]
    moments = [read_moment(values) for values in kept]
    kinds = {moment.kind for moment in moments} - {NO_MOMENT}
    rates = [rate for group in groups if (rate := _number(group.get("initial_lr"))) is not None]
    return TrainingState(
        global_step=_count(payload.get("global_step")),
        epoch=_number(payload.get("epoch")),
        best_val_loss=_number(payload.get("best_val_loss")),
        use_qlora=found if isinstance(found := payload.get("use_qlora"), bool) else None,
        moments=tuple(
            _summarise(_count(values.get("step")), moment)
            for values, moment in zip(kept, moments, strict=True)
        ),
        group_sizes=tuple(len(group["params"]) for group in groups),
        kept=_kind_of_moments(kinds, groups if not state else []),
        counted_steps=max(
            (_count(g["k"]) or 0 for g in groups if "weight_sum" in g and "k" in g), default=None
        ),
        learning_rate=max(rates) if rates and len(rates) == len(groups) else None,
    )


def _state_dict(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The optimizer's ``state_dict``: dlm keeps it under a name, the others save it alone."""
    if "optimizer_state_dict" not in payload and {"state", "param_groups"} <= payload.keys():
        return payload
    if "optimizer_state_dict" not in payload:
        keys = ", ".join(first_keys(payload)) or "none"
        raise ValueError(f"expected the keys optimizer_state_dict, or state and param_groups; found {keys}")
    optimizer: Mapping[str, Any] = payload["optimizer_state_dict"]
    return optimizer


def _parameter_groups(optimizer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The groups that hold parameters; only lists are accepted, since a tensor can be iterated too."""
    groups = optimizer.get("param_groups", [])
    _check_list("param_groups", groups)
    for group in groups:
        _check_list("params", group["params"])
    return [group for group in groups if group["params"]]


def _check_list(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} is of type {type(value).__name__}, not a list")


def _kind_of_moments(kinds: set[str], unused: list[Mapping[str, Any]]) -> str:
    """Which moment is kept; of an optimizer that made no step, by its groups."""
    if MOMENTUM in kinds:  # Muon beside Adam: two kinds cannot be compared, and a momentum is the lesser
        return MOMENTUM
    return SECOND_MOMENT if kinds or _is_adam(unused) else NO_MOMENT


def _is_adam(groups: list[Mapping[str, Any]]) -> bool:
    """Whether the settings are Adam's, for an optimizer that made no step."""
    return any("betas" in group for group in groups)


def _summarise(step: int | None, moment: MomentTensor) -> MomentSummary:
    if moment.kind == NO_MOMENT:
        return MomentSummary(step=step)
    finite = moment.values[moment.values.isfinite()].double()
    mean = float(finite.mean()) if finite.numel() else math.nan
    return MomentSummary(
        shape=moment.shape,
        mean=0.0 if mean <= moment.zero else mean,
        non_finite=(moment.values.numel() - finite.numel()) * moment.repeated,
        size=moment.values.numel() * moment.repeated,
        step=step,
    )


def _number(value: Any) -> float | None:
    """A number, or a tensor of one; None for a missing value or a text."""
    if value is None or isinstance(value, str | bytes):
        return None
    return float(value)


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return (str(error).splitlines() or [type(error).__name__])[0]
